"""How fast a training step of an experiment runs, beside a matrix product on the same machine.

`python -m benchmarks.step` prints a JSON object for `experiments/triple_mnist.py`.

`mnist3/models/operations.py` says which floating-point operations count. Everything else that a
step does (augmentation, pooling, ReLU, loss, the optimizer) takes time here but counts for nothing.
"""

import json
import statistics
import time

import numpy as np

from benchmarks import fit

STEPS = 40
REPETITIONS = 5


def measure() -> dict[str, float]:
    """Returns milliseconds, operations and rate of a step of `experiments/triple_mnist.py`."""
    from experiments.triple_mnist import get_config
    from mnist3 import tasks
    from mnist3.models.operations import step_operations
    from mnist3.training import loop, program
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
    state = program.stack([parts.initial_state()], parts.mesh)
    keys = loop.epoch_keys(parts, 0)
    segments = loop.Segments(parts, None, data, state, keys)
    seconds = []
    for _ in range(1 + REPETITIONS):
        nothing, begun = loop.Part.nothing(parts), segments.begin(keys)
        started = time.perf_counter()
        state, _ = segments.take(state, nothing, begun)
        seconds.append(time.perf_counter() - started)
    operations = step_operations(parts.model, config.training.batch_size, size)
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
