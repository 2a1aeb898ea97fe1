"""A PostgreSQL server for tests, in a folder of its own and reached by a socket there."""

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

PLACES = "/usr/lib/postgresql/*/bin"  # Debian's, which are not on the path
USER = "postgres"  # who runs it where the tests are run by root, as whom it does not run


def _program(name):
    found = shutil.which(name)
    if found:
        return found
    return next((str(path) for path in pathlib.Path("/").glob(f"{PLACES[1:]}/{name}")), None)


def missing():
    """Returns why there can be no server here; None if there can."""
    if not _program("initdb") or not _program("postgres"):
        return "no PostgreSQL here; install Debian's package postgresql"
    if os.getuid() == 0:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            return f"PostgreSQL does not run as root, and there is no user {USER}"
    return None


@contextlib.contextmanager
def running():
    """Gives the URL of a new server; MNIST3_POSTGRESQL=required makes its lack a failure."""
    if reason := missing():
        if os.environ.get("MNIST3_POSTGRESQL") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mnist3-pg-"))
    as_user = []
    if os.getuid() == 0:
        shutil.chown(folder, USER)
        as_user = ["runuser", "-u", USER, "--"]
    options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data = str(folder / "data")
    subprocess.run(
        [*as_user, _program("initdb"), "-D", data, "-U", USER, "--auth=trust", "--no-sync"],
        check=True,
        **options,
    )
    settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
    settings += ["-c", "fsync=off", "-c", "max_connections=40"]
    control = [*as_user, _program("pg_ctl"), "-D", data, "-w"]
    try:
        subprocess.run([*control, "start", "-o", " ".join(settings)], check=True, **options)
        yield f"postgresql://{USER}@/{USER}?host={folder}"
    finally:
        subprocess.run([*control, "stop", "-m", "immediate"], check=False, **options)
        shutil.rmtree(folder, ignore_errors=True)
