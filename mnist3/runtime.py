"""What has to be set before JAX starts: the allocator and the compilation cache."""

import contextlib
import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys
from typing import Any

import platformdirs

from mnist3.errors import UserError

HUGE_PAGES = "glibc.malloc.hugetlb=1"
MAXIMAL_CPU_DEVICES = 16
LIBRARIES = ("jax", "flax", "optax", "numpy", "scikit-learn")
COMPILATION_WORTH_KEEPING = 0.0  # s; a run has a hundred programs that take some milliseconds each


def cache_dir() -> str:
    """Returns the folder for decoded images and compiled programs.

    It is the user's cache folder, unless the environment variable MNIST3_CACHE_DIR names another.
    """
    default = platformdirs.user_cache_dir("mnist3", appauthor=False)
    return os.environ.get("MNIST3_CACHE_DIR") or default


def cache_size() -> int:
    """Returns how many bytes fits may take in the cache, and compiled programs as many.

    It is 2 GiB, unless the environment variable MNIST3_CACHE_SIZE says another: 500M is 500 MiB.

    Raises:
        UserError: if it says no size.
    """
    text = os.environ.get("MNIST3_CACHE_SIZE") or "2G"
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG])B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UserError(f"MNIST3_CACHE_SIZE is {text!r}; give a size such as 500M or 2G.")
    return int(float(match[1]) * 1024 ** (1 + "KMG".index(match[2].upper())))


def prepare_process() -> None:
    """Starts the program anew with huge pages, once, and sets what JAX reads at its start.

    - Huge pages: on the CPU each step allocates and frees large arrays, and with small pages most
      of its time goes into page faults. glibc reads the setting at the start of a process alone.
    - A JAX device for each core: XLA runs a convolution on one core of its device.
    - The compilation cache, in the user's folder.

    What the user has set stays. Must run before JAX is imported.
    """
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(cache_dir(), "compiled"))
    os.environ.setdefault(
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(COMPILATION_WORTH_KEEPING)
    )
    _share_cores()
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
        os.execv(sys.executable, sys.orig_argv)


def prepare_notebook() -> None:
    """Sets devices and compilation cache in a process that goes on, with JAX imported but not used.

    What the user has set stays.
    """
    import jax

    _share_cores()
    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        jax.config.update("jax_compilation_cache_dir", os.path.join(cache_dir(), "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", COMPILATION_WORTH_KEEPING)


@functools.cache
def environment() -> dict[str, Any]:
    """Returns where and with what a result was made, the entry `environment` of metrics.json."""
    import jax

    devices = jax.devices()
    return {
        "commit": _commit(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "processor": _processor(),
        "instruction_set": _instruction_set(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _commit() -> str | None:
    """Returns the commit of the checkout that this package is in, + where files have changed."""
    folder = pathlib.Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + "+" * bool(changed.strip())


def _cpuinfo(field: str) -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(field):
                return line.partition(":")[2].strip()
    return ""


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _instruction_set() -> str:
    """Returns the widest vector instructions that the processor has, as far as it says so."""
    flags = _cpuinfo("flags").split()
    widest = [name for name in ("avx512f", "avx2", "avx") if name in flags]
    return widest[0] if widest else platform.machine()


def _share_cores() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        count = f"--xla_force_host_platform_device_count={_cpu_devices()}"
        os.environ["XLA_FLAGS"] = f"{flags} {count}".strip()


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cpu_devices() -> int:
    """Returns the largest power of two up to the usable cores and to what batches can share."""
    return 1 << (min(cores(), MAXIMAL_CPU_DEVICES).bit_length() - 1)
