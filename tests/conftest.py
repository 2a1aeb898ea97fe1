"""What every test has: checked shapes, reproducible examples, and the real data if given."""

import os
import pathlib

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core: threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import jaxtyping
import pytest

jaxtyping.install_import_hook("mnist3", "beartype.beartype")

hypothesis.settings.register_profile(
    "mnist3",
    deadline=None,
    max_examples=20,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("mnist3")


@pytest.fixture(scope="session")
def data_dir() -> str:
    """The folder with the real data; the test is skipped without one."""
    folder = os.environ.get("MNIST3_DATA_DIR")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("set MNIST3_DATA_DIR to a folder with mnist/ and triple_mnist.zip to run this")
    return str(pathlib.Path(folder).resolve())
