"""A Dask cluster fits what this process would, to the same results."""

import functools
import json
import pickle
import sys

import distributed
import joblib
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from experiments.textbook.run import Settings, create_study
from mnist3.data import variants
from mnist3.data.sources import load_source
from mnist3.errors import UserError
from mnist3.jobs import command_line
from mnist3.learners import workers
from mnist3.learners.cached import MadeInputs
from tests.times import without_times

COMPARISON = "experiments/compare.py:learners=knn+svc,by=cross_validation,train_limit=300"


@pytest.fixture(scope="module")
def cluster():
    """Two workers, which are sent what they do over TCP."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster


def done(cluster):
    """How many tasks each worker has done."""
    return [worker.state.executed_count for worker in cluster.workers.values()]


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Compares in a cache of its own, on a cluster or here; returns what metrics.json has."""

    def run(name, *flags):
        monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / f"{name} cache"))
        words = [f"--config={COMPARISON}", f"--workdir={tmp_path / name}", "--figures=none"]
        words.append("--config.wandb.mode=disabled")
        assert command_line.main(["launch.py", *words, *flags]) == 0
        return json.loads((tmp_path / name / "metrics.json").read_text())

    return run


def test_a_comparison_is_the_same_on_a_cluster(compare, cluster):
    plain, before = compare("plain"), done(cluster)
    spread = compare("spread", f"--joblib=dask:{cluster.scheduler_address}")
    assert without_times(spread, "environment") == without_times(plain, "environment")
    assert sum(done(cluster)) - sum(before) >= 2 * 3  # folds of two candidates
    assert all(now > then for now, then in zip(done(cluster), before, strict=True))


def test_folds_of_the_study_are_the_same_on_a_cluster(cluster, tmp_path, monkeypatch):
    source = load_source("digits", None)

    def scores(name):
        monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / name))
        study = create_study(Settings("digits", (), 100, seed=42), source)
        return study.held_out(study.cached(KNeighborsClassifier()), study.is_digit)

    plain, before = scores("plain"), done(cluster)
    with workers.fitted_by(f"dask:{cluster.scheduler_address}"):
        spread = scores("spread")
    np.testing.assert_array_equal(spread, plain)
    assert sum(done(cluster)) > sum(before)


def test_inputs_are_sent_without_what_can_be_made_again():
    images = load_source("digits", None).images[:20]
    inputs = MadeInputs(functools.partial(variants.pixels, images), len(images), ())
    before = pickle.dumps(inputs)
    made = inputs.values
    assert pickle.dumps(inputs) == before
    np.testing.assert_array_equal(pickle.loads(before).values, made)


def test_networks_stay_in_this_process(cluster):
    with workers.fitted_by(f"dask:{cluster.scheduler_address}"):
        assert "Dask" in type(joblib.parallel.get_active_backend()[0]).__name__
        with workers.here():
            assert "Sequential" in type(joblib.parallel.get_active_backend()[0]).__name__


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("threads", "--joblib=threads names no cluster"),
        ("dask:", "names no cluster"),
        ("dask:tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1"),
        ("dask:nowhere://x", "no Dask scheduler answers at nowhere://x"),
    ],
)
def test_a_cluster_that_is_none_is_told_in_a_sentence(name, words, monkeypatch):
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.2)
    with pytest.raises(UserError, match=words), workers.fitted_by(name):
        pass


def test_without_dask_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    named = pytest.raises(UserError, match=r'pip install -e "\.\[dask\]"')
    with named, workers.fitted_by("dask:tcp://127.0.0.1:8786"):
        pass


def test_a_scheduler_without_workers_is_told(monkeypatch):
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.5)
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(UserError, match="has no worker"), workers.fitted_by(f"dask:{address}"):
            pass


def test_what_fits_nothing_in_folds_takes_no_cluster(capsys):
    words = ["--mode=inspect", f"--config={COMPARISON.partition(':')[0]}"]
    assert command_line.main(["launch.py", *words, "--joblib=dask:tcp://x:1"]) == 1
    assert "--mode=inspect" in capsys.readouterr().err
