"""What every test has: checked shapes, reproducible examples, and the real data if given."""

import atexit
import functools
import gc
import gzip
import hashlib
import os
import pathlib
import shutil
import struct
import tempfile
from unittest import mock

if "PYTEST_XDIST_WORKER" in os.environ:  # there are more than cores: threads would wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests compile for longer than they compute. Without the fusion emitters it takes half as long.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    " --xla_cpu_use_fusion_emitters=false",
)
# A folder of this run of the tests, for all its processes: what one test has compiled or decoded,
# another finds. JAX_COMPILATION_CACHE_DIR, if set, keeps what is compiled for the next run too.
if "MNIST3_TESTS_FOLDER" not in os.environ:
    os.environ["MNIST3_TESTS_FOLDER"] = tempfile.mkdtemp(prefix="mnist3-tests-")
    atexit.register(shutil.rmtree, os.environ["MNIST3_TESTS_FOLDER"], ignore_errors=True)
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["MNIST3_TESTS_FOLDER"], "compiled")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # lowering spends time on them

import filelock
import hypothesis
import jaxtyping
import numpy as np
import pytest
from jaxtyping import _import_hook

gc.disable()  # until the tests are imported, of which hardly anything is garbage

ROOT = pathlib.Path(__file__).parent.parent
LONGEST = (  # alone; they start first, so that no core waits for one at the end
    "test_mypy_has_nothing_to_say",
    "test_it_runs_on",
    "test_scikit_learns_own_checks",
    "test_one_softmax_over_numbers",
    "test_on_mnist_the_quick_steps",
    "test_census_income",
    "test_two_processes_share_a_cache",
    "test_four_workers_share_postgresql",
    "test_agent_runs_the_random_sweep",
    "test_a_run_as_users_have_it",
)
LONG = (  # marked slow: files of whole runs, processes, and what is compiled at length
    "tests/benchmarks/",
    "tests/estimators/",
    "tests/experiments/",
    "tests/export/",
    "tests/extend/",
    "tests/jobs/test_compare.py",
    "tests/jobs/test_export.py",
    "tests/jobs/test_measure.py",
    "tests/jobs/test_population.py",
    "tests/jobs/test_predict_lines.py",
    "tests/jobs/test_profile.py",
    "tests/jobs/test_replicates.py",
    "tests/jobs/test_run_digits.py",
    "tests/jobs/test_serve.py",
    "tests/jobs/test_table.py",
    "tests/jobs/test_workdir.py",
    "tests/learners/",
    "tests/models/test_models.py",
    "tests/ops/",
    "tests/tasks/test_ctc.py",
    "tests/test_fuzz.py",
    "tests/test_launch.py",
    "tests/test_models_on_unseen_numbers.py",
    "tests/test_notebook.py",
    "tests/test_reading.py",
    "tests/test_sweeps.py",
    "tests/test_fixtures.py",
    "tests/evaluation/test_selection.py",
    "tests/training/test_checkpoints.py",
    "tests/training/test_export.py",
    "tests/training/test_initial.py",
    "tests/training/test_program.py",
    "tests/data/test_dataset.py::test_more_digits_than_can_be_listed",
    "tests/data/test_dataset.py::test_the_fingerprint_follows",
    "tests/data/test_dataset.py::test_what_is_shown_is_known",
    "tests/data/test_locate.py::test_any_picture_gives_well_formed_lines",
    "tests/data/test_locate.py::test_digits_at_the_ends_of_a_line",
    "tests/data/test_mnist_builder.py::test_the_real_files",
    "tests/data/test_processes.py",
    "tests/data/test_writing.py::test_what_is_asked_for_shows",
    "tests/test_docs.py::test_the_audit_of_the_docs_runs",
    "tests/web/test_page.py",
    "tests/web/test_reader_page.py",
    "tests/web/test_trained_page.py",
)


def exec_module(self, module):
    """Jaxtyping's loader, but what the module imports in its turn is cached as it always is.

    Else the libraries that the package imports first are compiled from source by each process.
    """
    tagged = functools.partial(
        _import_hook._optimized_cache_from_source, self._typechecker.get_hash()
    )
    with mock.patch("importlib._bootstrap_external.cache_from_source", tagged):
        code = self.get_code(module.__name__)
    exec(code, module.__dict__)


_import_hook._JaxtypingLoader.exec_module = exec_module
jaxtyping.install_import_hook(["mnist3", "experiments.textbook"], "beartype.beartype")

hypothesis.settings.register_profile(
    "mnist3",
    deadline=None,
    max_examples=12,
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


@pytest.fixture(scope="session")
def once():
    """Makes a folder by its name once for all processes of this run; tests change copies alone."""

    def made(name, make):
        folder = pathlib.Path(os.environ["MNIST3_TESTS_FOLDER"], "made", name)
        folder.parent.mkdir(exist_ok=True)
        done = folder.with_suffix(".done")
        with filelock.FileLock(folder.with_suffix(".lock")):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def trained(once, common_cache):
    """Returns the folder of a run of an experiment, by its text, with or without its pictures."""

    def train(text, drawn=False):
        from mnist3 import experiments
        from mnist3.jobs import run
        from mnist3.jobs.arguments import Arguments
        from mnist3.reporting import pictures

        def learn(folder):
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(ROOT)
                patch.setenv("MNIST3_CACHE_DIR", common_cache)
                if not drawn:
                    patch.setattr(pictures, "draw_all", lambda result: {})
                config = experiments.load(text)
                config.wandb.mode = "disabled"
                assert run.run(config, Arguments(workdir=str(folder))) == 0

        return once(hashlib.sha256(f"{text} {drawn}".encode()).hexdigest()[:16], learn)

    return train


@pytest.fixture(scope="session")
def common_cache() -> str:
    """A cache folder of all processes of this run, for what is decoded or fitted at length."""
    return os.path.join(os.environ["MNIST3_TESTS_FOLDER"], "cache")


def encode_idx(array: np.ndarray) -> bytes:
    """Returns an array of bytes as a gzipped IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def letters_dir(tmp_path) -> str:
    """A data folder with a tiny EMNIST of letters: of each 10 training and 4 test images, 12x12.

    On an image of the letter at place n the first n + 1 pixels are inked, read down the columns:
    EMNIST exchanges rows and columns. The last pixel tells most images apart.
    """
    folder = tmp_path / "data" / "emnist_letters"
    folder.mkdir(parents=True)
    for part, each in (("train", 10), ("test", 4)):
        labels = np.random.default_rng(each).permutation(np.repeat(np.arange(26), each))
        images = ((np.arange(144) <= labels[:, None]) * 200).astype(np.uint8)
        images[:, -1] = np.arange(len(labels)) % 256
        for name, array in (
            ("images-idx3", images.reshape(-1, 12, 12)),
            ("labels-idx1", (labels + 1).astype(np.uint8)),
        ):
            file = folder / f"emnist-letters-{part}-{name}-ubyte.gz"
            file.write_bytes(encode_idx(array))
    return str(folder.parent)


def pytest_ignore_collect(collection_path, config):
    """Leaves out files that are slow as a whole where those are not asked for.

    Importing them, and what they import, takes longer than most tests.
    """
    if config.option.markexpr != "not slow":
        return None
    place = collection_path.relative_to(ROOT).as_posix()
    return place in LONG or f"{place}/" in LONG or None


def pytest_collection_modifyitems(items):
    """Marks what is long as a whole, and deals the longest tests out to the workers as the first.

    Each worker begins with a piece of the list, and takes from another's end when it has done its
    own.
    """
    for item in items:
        if any(part in item.nodeid for part in LONG):
            item.add_marker(pytest.mark.slow)
    ranks = [next((r for r, part in enumerate(LONGEST) if part in i.nodeid), None) for i in items]
    longest = sorted((rank, place) for place, rank in enumerate(ranks) if rank is not None)
    others = [place for place, rank in enumerate(ranks) if rank is None]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    order = []
    for worker in range(workers):
        order += [place for _, place in longest[worker::workers]]
        order += others[worker * len(others) // workers : (worker + 1) * len(others) // workers]
    items[:] = [items[place] for place in order]


def pytest_collection_finish(session):
    """What is imported is never looked through, the rest seldom: tracing makes much that stays."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def pytest_xdist_auto_num_workers(config):
    """One more than there are cores: tests wait for processes, browsers and disks."""
    from mnist3.runtime import cores

    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores() + 1


@pytest.fixture
def fresh_wandb(tmp_path, monkeypatch):
    """No account, no settings and no service of an earlier test."""
    import wandb  # takes a second

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SWEEP_ID"):
        monkeypatch.delenv(name, raising=False)
    wandb.teardown()
    yield
    wandb.teardown()
