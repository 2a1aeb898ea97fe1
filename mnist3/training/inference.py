"""A trained model as a plain function from images to numbers."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from mnist3 import tasks
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble


def load_reader(
    config: ConfigDict, workdir: str, checkpoint: str
) -> Callable[[UInt8[np.ndarray, "n height width"]], tasks.Prediction]:
    """Returns a function that reads numbers from images of the config's size.

    Args:
        config: of the run in the workdir.
        workdir: folder of the run.
        checkpoint: `best`, `latest` or the number of an epoch.

    Raises:
        UserError: if there is no such checkpoint.
    """
    parts = assemble(config, config.training.batch_size)
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        epoch = checkpoints.resolve(checkpoint)
        params = checkpoints.restore_params(epoch, parts.state_shapes().params)
    finally:
        checkpoints.close()
    compute_logits = program.create_compute_logits(
        parts.model, parts.mesh, parts.config.evaluation.shift
    )
    decode = jax.jit(tasks.decode, static_argnums=1)

    def read(images: np.ndarray) -> tasks.Prediction:
        logits = compute_logits(params, program.batched(images, parts.mesh))
        prediction = jax.device_get(decode(logits, config.data.digits))
        return jax.tree.map(lambda values: values[: len(images)], prediction)

    return read
