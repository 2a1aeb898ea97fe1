"""How fast a training step of an experiment runs, beside a matrix product on the same machine.

`python -m benchmarks.step` prints a JSON object for `experiments/triple_mnist.py`.

The floating-point operations are those of the model's layers with a kernel: two (a multiplication
and an addition) for each element of the kernel and each place that it is applied to. A training
step has three times as many as the forward pass: forward, gradient of the inputs and gradient of
the kernel; the first layer needs no gradient of its inputs. Everything else that a step does
(augmentation, pooling, ReLU, loss, the optimizer) takes time here but counts for nothing.
"""

import json
import math
import statistics
import time

import jax
import numpy as np
from flax import linen as nn
from flax import traverse_util

from benchmarks import fit

STEPS = 40
REPETITIONS = 5


def forward_operations(model: nn.Module, images: jax.ShapeDtypeStruct) -> dict[str, int]:
    """Returns the floating-point operations of each layer with a kernel, first layer first.

    Args:
        model: from images as float32 ink to logits; a single network, not an ensemble.
        images: shape and dtype of a batch.
    """

    def apply(images):
        variables = model.init(jax.random.key(0), images)
        _, captured = model.apply(
            variables, images, capture_intermediates=True, mutable=["intermediates"]
        )
        return variables["params"], captured["intermediates"]

    params, outputs = (traverse_util.flatten_dict(tree) for tree in jax.eval_shape(apply, images))
    operations = {}
    for path, kernel in params.items():
        if path[-1] == "kernel":
            (output,) = outputs[(*path[:-1], "__call__")]
            # A kernel with three axes is a stack, a matrix for each position of the output.
            applied_to_itself = kernel.shape[-1] * (kernel.shape[0] if kernel.ndim == 3 else 1)
            places = math.prod(output.shape) // applied_to_itself
            operations["/".join(path[:-1])] = 2 * math.prod(kernel.shape) * places
    first = next(name for name in operations if name.endswith("stem"))
    return {first: operations.pop(first)} | operations


def training_operations(forward: dict[str, int]) -> int:
    """Returns the floating-point operations of a training step with this forward pass."""
    first, *others = forward.values()
    return 2 * first + 3 * sum(others)


def measure() -> dict[str, float]:
    """Returns milliseconds, operations and rate of a step of `experiments/triple_mnist.py`."""
    from experiments.triple_mnist import get_config
    from mnist3 import tasks
    from mnist3.training import program
    from mnist3.training.run import assemble

    config = get_config()
    size = (config.data.height, config.data.width)
    task = tasks.create(config.task, positions=config.data.digits)
    parts = assemble(config, task, STEPS * config.training.batch_size)
    rng = np.random.default_rng(0)
    count = STEPS * config.training.batch_size
    images = rng.integers(0, 256, (count, *size), np.uint8)
    labels = rng.integers(0, 10, (count, config.data.digits), np.int32)
    data = program.put_everywhere(tasks.Examples(images, labels), parts.mesh)
    train_epoch = program.create_train_epoch(
        parts.model, task, parts.optimizer, config, parts.steps, None, parts.mesh
    )
    key = program.put_everywhere(jax.random.key(0), parts.mesh)
    state = parts.initial_state()
    seconds = []
    for _ in range(1 + REPETITIONS):
        started = time.perf_counter()
        state, _ = jax.block_until_ready(train_epoch(state, data, key))
        seconds.append(time.perf_counter() - started)
    batch = jax.ShapeDtypeStruct((config.training.batch_size, *size), np.float32)
    operations = training_operations(forward_operations(parts.model, batch))
    step = statistics.median(seconds[1:]) / STEPS
    return {
        "milliseconds": 1e3 * step,
        "gigaoperations": operations / 1e9,
        "gflops": operations / step / 1e9,
    }


if __name__ == "__main__":
    fit.limit_threads()
    from mnist3 import runtime

    runtime.prepare_process()
    print(json.dumps(measure()))
