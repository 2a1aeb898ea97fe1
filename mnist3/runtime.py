"""What has to be set before JAX starts: the allocator and the compilation cache."""

import os
import sys

import platformdirs

HUGE_PAGES = "glibc.malloc.hugetlb=1"
MAXIMAL_CPU_DEVICES = 16


def cache_dir() -> str:
    """Returns the folder for decoded images and compiled programs.

    It is the user's cache folder, unless the environment variable MNIST3_CACHE_DIR names another.
    """
    default = platformdirs.user_cache_dir("mnist3", appauthor=False)
    return os.environ.get("MNIST3_CACHE_DIR") or default


def prepare_process() -> None:
    """Starts the program anew with huge pages, once, and sets what JAX reads at its start.

    - Huge pages: on the CPU each step allocates and frees large arrays, and with small pages most
      of its time goes into page faults. glibc reads the setting at the start of a process alone.
    - A JAX device for each core: XLA runs a convolution on one core of its device.
    - The compilation cache, in the user's folder.

    What the user has set stays. Must run before JAX is imported.
    """
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(cache_dir(), "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        count = f"--xla_force_host_platform_device_count={_cpu_devices()}"
        os.environ["XLA_FLAGS"] = f"{flags} {count}".strip()
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
        os.execv(sys.executable, sys.orig_argv)


def _cpu_devices() -> int:
    """Returns the largest power of two up to the usable cores and to what batches can share."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return 1 << (min(usable, MAXIMAL_CPU_DEVICES).bit_length() - 1)
