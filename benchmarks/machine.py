"""What the benchmark ran on, and how fast that multiplies matrices.

`python -m benchmarks.machine LIBRARY` prints the rate of a float32 matrix product in GFLOP/s.
"""

import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Callable

from benchmarks import fit

_SIZE = 2048
_REPETITIONS = 20


def describe() -> dict[str, str | int]:
    """Returns processor, cores, memory, system and the versions of what computes."""
    description: dict[str, str | int] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        "threads used": fit.THREADS,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for library in ("numpy", "jax", "jaxlib", "flax", "torch"):
        try:
            description[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            description[library] = "not installed"
    return description


def _processor() -> str:
    """Returns the model of the processor, and its family, since clouds hide the model's name."""
    try:
        with open("/proc/cpuinfo") as file:
            fields = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", file.read(), re.MULTILINE))
    except OSError:
        return platform.processor()
    name = fields.get("model name", platform.processor())
    widest = next(
        (
            title
            for flag, title in (("avx512f", "AVX-512"), ("avx2", "AVX2"))
            if flag in fields.get("flags", "").split()
        ),
        None,
    )
    details = [f"family {fields['cpu family']}"] if "cpu family" in fields else []
    return f"{name} ({', '.join(details + [widest] * bool(widest))})" if details else name


def matrix_product_rate(library: str) -> float:
    """Returns the best rate of a float32 product of 2048 x 2048 matrices, in GFLOP/s.

    Args:
        library: `jax` or `torch`.
    """
    multiply = {"jax": _jax_product, "torch": _torch_product}[library]()
    multiply()
    seconds = []
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)
    return 2 * _SIZE**3 / min(seconds) / 1e9


def _jax_product() -> Callable[[], object]:
    import jax

    left, right = jax.random.normal(jax.random.key(0), (2, _SIZE, _SIZE))
    product = jax.jit(lambda left, right: left @ right)
    return lambda: product(left, right).block_until_ready()


def _torch_product() -> Callable[[], object]:
    import torch

    torch.set_num_threads(fit.THREADS)
    left, right = torch.randn(2, _SIZE, _SIZE)
    return lambda: left @ right


if __name__ == "__main__":
    fit.limit_threads()
    print(matrix_product_rate(sys.argv[1]))
