"""What every test has: checked shapes, reproducible examples, and the real data if given."""

import os
import pathlib

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core: threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests compile for longer than they compute.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

import hypothesis
import jaxtyping
import pytest

jaxtyping.install_import_hook(["mnist3", "experiments.textbook"], "beartype.beartype")

hypothesis.settings.register_profile(
    "mnist3",
    deadline=None,
    max_examples=20,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("mnist3")


@pytest.fixture
def mnist_names(tmp_path) -> str:
    """A folder with empty files of MNIST's names."""
    from mnist3.data.idx import MNIST_FILES

    (tmp_path / "named").mkdir()
    for name in MNIST_FILES:
        (tmp_path / "named" / name).touch()
    return str(tmp_path / "named")


@pytest.fixture(scope="session")
def data_dir() -> str:
    """The folder with MNIST; the test is skipped without its files."""
    from mnist3.data.sources import has_mnist

    folder = os.environ.get("MNIST3_DATA_DIR")
    if not folder:
        pytest.skip("set MNIST3_DATA_DIR to a folder with mnist/ to run this")
    if not has_mnist(folder):
        pytest.skip(f"MNIST3_DATA_DIR={folder} lacks MNIST's four files")
    return str(pathlib.Path(folder).resolve())


@pytest.fixture(scope="session")
def triple_mnist_dir(data_dir) -> str:
    """The folder with MNIST and triple MNIST; the test is skipped without either."""
    from mnist3.data.triple_mnist import has_triple_mnist

    if not has_triple_mnist(data_dir):
        pytest.skip(f"MNIST3_DATA_DIR={data_dir} lacks triple_mnist.zip")
    return data_dir


def pytest_collection_modifyitems(items):
    """Runs the longest tests first, so that no core waits for one of them at the end."""
    items.sort(key=lambda item: "test_notebooks.py" not in item.nodeid)
