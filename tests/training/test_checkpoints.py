import contextlib
import os
import pathlib
import resource
import shutil
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import tasks
from mnist3.config import numbers
from mnist3.errors import UserError
from mnist3.training import checkpoints as module
from mnist3.training.checkpoints import Checkpoints, best_by_val
from mnist3.training.run import assemble
from mnist3.training.state import TrainState

# Made by an earlier version: one item `default` with the whole state; epoch e has the parameters of
# `small_state(e)`. Two epochs with an average, the first of them the best, and one without. They
# lack the file `commit_success.txt`, which not every version of Orbax writes.
OLD = pathlib.Path(__file__).parent.parent / "fixtures" / "checkpoints_of_one_item"
VAL = {"exact_match": 0.5, "nll": 1.0}


def small_state(epoch, averaged=True):
    params = {
        "heads": {
            "bias": jnp.arange(3.0) + epoch,
            "kernel": jnp.arange(6.0).reshape(2, 3) - epoch,
        }
    }
    average = jax.tree.map(lambda leaf: leaf + 100, params) if averaged else None
    optimizer = optax.adam(0.1)
    _, opt_state = optimizer.update(params, optimizer.init(params), params)
    return TrainState(jnp.int32(epoch * 8), params, average, opt_state)


def tiny_config():
    config = numbers()
    config.data.digits, config.data.height, config.data.width = 2, 28, 56
    config.model.stem, config.model.channels = 4, (8,)
    return config


def moved(state, distance):
    return state._replace(params=jax.tree.map(lambda leaf: leaf + distance, state.params))


def assert_same(expected, found):
    assert jax.tree.structure(expected) == jax.tree.structure(found)
    jax.tree.map(np.testing.assert_array_equal, expected, found)


def epochs_on_disk(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def tiny_run():
    config = tiny_config()
    return assemble(config, tasks.create(config.task, positions=config.data.digits), 128)


@contextlib.contextmanager
def opened(workdir, **options):
    checkpoints = Checkpoints(str(workdir), **options)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Four epochs, of which the second is the best, with parameters of their own."""
    workdir = tmp_path_factory.mktemp("run")
    state = tiny_run().initial_state()
    with opened(workdir) as checkpoints:
        for epoch in range(1, 5):
            checkpoints.save(epoch, moved(state, epoch), VAL, best=min(epoch, 2))
        checkpoints.wait()
        yield workdir, state, checkpoints


def test_the_best_and_the_latest_are_kept_and_no_other(saved):
    workdir, _, checkpoints = saved
    assert (checkpoints.best(), checkpoints.latest()) == (2, 4)
    assert epochs_on_disk(workdir) == [2, 4]


def test_a_checkpoint_gives_back_the_same_bytes(saved):
    _, state, checkpoints = saved
    assert_same(moved(state, 2), checkpoints.restore(2, state))


def test_the_shapes_of_a_state_are_enough_to_restore_it(saved):
    _, state, checkpoints = saved
    parts = tiny_run()
    restored = checkpoints.restore(4, parts.state_shapes())
    assert_same(moved(state, 4), restored)
    params = checkpoints.restore_params(4, parts.state_shapes().params)
    assert_same(moved(state, 4).inference_params, params)
    assert_same(params, checkpoints.read_params(4))  # without any shapes
    for found in jax.tree.leaves((restored, params)):
        assert found.sharding.mesh == parts.mesh


def test_names_of_checkpoints(saved):
    checkpoints = saved[2]
    assert [checkpoints.resolve(name) for name in ("best", "latest", "2")] == [2, 4, 2]
    with pytest.raises(UserError, match=r"'3'.*best, latest, 2, 4"):
        checkpoints.resolve("3")


@pytest.mark.parametrize("made", [True, False])
def test_a_workdir_without_checkpoints_says_to_train(tmp_path, made):
    if made:
        (tmp_path / "checkpoints").mkdir()
    with opened(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest() is None
        with pytest.raises(UserError, match="train first"):
            checkpoints.resolve("best")


@given(st.dictionaries(st.integers(1, 9), st.tuples(*[st.sampled_from([0.1, 0.5, 0.7])] * 2)))
def test_the_best_by_val_is_no_worse_than_any_and_the_later_of_equals(scores):
    metrics = {epoch: {"exact_match": a, "nll": b} for epoch, (a, b) in scores.items()}
    best = best_by_val(metrics)
    assert (best is None) == (not metrics)
    for epoch, (exact_match, nll) in scores.items():
        assert scores[best][0] >= exact_match
        if scores[best][0] == exact_match:
            assert scores[best][1] <= nll
            if scores[best] == (exact_match, nll):
                assert best >= epoch


def test_the_caller_says_which_epoch_is_the_best(tmp_path):
    """Also a worse one than others that are kept, and again an earlier one that was kept so far."""
    named = [(1, ()), (2, (1,)), (3, (1,)), (1, (3,)), (5, ())]
    with opened(tmp_path) as checkpoints:
        for epoch, (best, keep) in enumerate(named, start=1):
            checkpoints.save(epoch, small_state(epoch), VAL | {"nll": 1 / epoch}, best, keep)
            checkpoints.wait()
            assert epochs_on_disk(tmp_path) == sorted({epoch, best, *keep})
            with opened(tmp_path, read_only=True) as after:
                for each in (checkpoints, after):
                    assert (each.best(), each.latest()) == (best, epoch)
                    assert each.metrics(epoch) == VAL | {"nll": 1 / epoch}
                for kept in {epoch, best, *keep}:
                    assert_same(small_state(kept), after.restore(kept, small_state(0)))


def test_an_epoch_that_is_there_no_more_cannot_be_kept(tmp_path):
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, small_state(1), VAL, best=1)
        checkpoints.save(2, small_state(2), VAL, best=2)
        for epochs in ({"best": 1}, {"best": 3, "keep": [1]}):
            with pytest.raises(ValueError, match="no checkpoint of epoch 1"):
                checkpoints.save(3, small_state(3), VAL, **epochs)
        with pytest.raises(ValueError, match="not later"):
            checkpoints.save(2, small_state(2), VAL, best=2)
        assert checkpoints.best() == checkpoints.latest() == 2


@pytest.mark.parametrize("averaged", [True, False])
def test_parameters_and_the_rest_are_items_of_their_own(tmp_path, averaged):
    state = small_state(1, averaged)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, state, VAL, best=1)
        checkpoints.wait()
        assert_same(state, checkpoints.restore(1, small_state(0, averaged)))
        shutil.rmtree(tmp_path / "checkpoints" / "1" / "training")
        params = checkpoints.restore_params(1, small_state(0).params)
        assert_same(state.inference_params, params)


@pytest.mark.parametrize(("name", "epochs"), [("averaged", [1, 2]), ("plain", [1])])
def test_checkpoints_of_one_item_are_read_and_gone_on_from(tmp_path, name, epochs):
    averaged = name == "averaged"
    shutil.copytree(OLD / name, tmp_path / "run")
    like = small_state(0, averaged)
    with opened(tmp_path / "run") as checkpoints:
        assert (checkpoints.best(), checkpoints.latest()) == (1, epochs[-1])
        for epoch in epochs:
            state = small_state(epoch, averaged)
            assert_same(state, checkpoints.restore(epoch, like))
            params = checkpoints.restore_params(epoch, like.params)
            assert_same(state.inference_params, params)
        checkpoints.save(3, small_state(3, averaged), VAL, best=1)
        checkpoints.wait()
        assert epochs_on_disk(tmp_path / "run") == [1, 3]
        for epoch in (1, 3):
            assert_same(small_state(epoch, averaged), checkpoints.restore(epoch, like))


def test_no_file_of_one_version_of_orbax_decides_what_is_whole(tmp_path):
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, small_state(1), VAL, best=1)
        checkpoints.save(2, small_state(2), VAL, best=1)
        checkpoints.wait()
    for path in tmp_path.rglob("commit_success.txt"):
        path.unlink()
    with opened(tmp_path) as checkpoints:
        checkpoints.wait()
        assert (checkpoints.best(), checkpoints.latest()) == (1, 2)
        for epoch in (1, 2):
            assert_same(small_state(epoch), checkpoints.restore(epoch, small_state(0)))


@pytest.mark.parametrize("gone", ["metrics", "default"])
def test_what_an_earlier_version_left_half_deleted_is_not_named_and_goes_away(tmp_path, gone):
    """It deleted checkpoints in place, and of those alone that were neither best nor latest."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(OLD / "averaged" / "checkpoints", folder)
    shutil.copytree(folder / "2", folder / "0")
    shutil.rmtree(folder / "0" / gone)
    with opened(tmp_path) as checkpoints:
        assert (checkpoints.best(), checkpoints.latest()) == (1, 2)
        checkpoints.wait()
        assert epochs_on_disk(tmp_path) == [1, 2]


def test_checkpoints_that_cannot_be_read_are_refused_and_left_alone(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints" / "1" / "metrics")
    with opened(tmp_path) as checkpoints, pytest.raises(UserError, match="no metrics"):
        checkpoints.latest()
    assert (tmp_path / "checkpoints" / "1" / "default").is_dir()


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"[1]", b'{"best": [2], "keep": []}', b"{}"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's threads
@pytest.mark.parametrize("damaged", ["2/metrics/metrics", "2/params/manifest.ocdbt"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on(tmp_path, damaged, content):
    """As a power cut leaves files that were not yet on the disk."""
    with opened(tmp_path) as checkpoints:
        for epoch in (1, 2):
            checkpoints.save(epoch, small_state(epoch), VAL, best=1, keep={1})
        checkpoints.wait()
    (tmp_path / "checkpoints" / damaged).write_bytes(content)
    for read_only in (True, False):
        with (
            pytest.raises(UserError, match=r"checkpoints/2 cannot be read.*remove that folder"),
            opened(tmp_path, read_only=read_only) as checkpoints,
        ):
            checkpoints.restore(checkpoints.latest(), small_state(0))
    shutil.rmtree(tmp_path / "checkpoints" / "2")
    with opened(tmp_path) as checkpoints:
        assert checkpoints.latest() == checkpoints.best() == 1
        assert_same(small_state(1), checkpoints.restore(1, small_state(0)))


def test_a_checkpoint_is_on_the_disk_before_those_before_it_go(tmp_path, monkeypatch):
    there = {}

    def sync_all(folder):
        there[folder.name] = epochs_on_disk(tmp_path)

    monkeypatch.setattr(module, "sync_all", sync_all)
    with opened(tmp_path) as checkpoints:
        for epoch in (1, 2, 3):
            checkpoints.save(epoch, small_state(epoch), VAL, best=epoch)
        checkpoints.wait()
    assert there == {"1": [1], "2": [1, 2], "3": [2, 3]}
    assert epochs_on_disk(tmp_path) == [3]


@contextlib.contextmanager
def files_of_at_most(size):
    """Lets no file of this process grow beyond so many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_save_that_fails_half_way_is_not_named(tmp_path, monkeypatch):
    noise = {"heads": jax.random.normal(jax.random.key(0), (1 << 21,))}  # 8 MiB
    large = TrainState(jnp.int32(8), noise, None, ())
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, large, VAL, best=1)
        checkpoints.save(2, large, VAL, best=1)
        checkpoints.wait()
        monkeypatch.setattr(module, "_require_space", lambda folder, state: None)
        with files_of_at_most(1 << 20), pytest.raises(UserError, match="no space left"):
            checkpoints.save(3, large, VAL, best=3)
            checkpoints.wait()
        assert (checkpoints.best(), checkpoints.latest()) == (1, 2)
        with pytest.raises(UserError, match="best, latest, 1, 2"):
            checkpoints.resolve("3")
        assert_same(large, checkpoints.restore(2, large))
    assert epochs_on_disk(tmp_path) == [1, 2]
    with opened(tmp_path) as checkpoints:
        checkpoints.save(3, large, VAL, best=3)
        checkpoints.wait()
        assert epochs_on_disk(tmp_path) == [3]


def test_a_disk_that_would_be_full_while_orbax_saves_is_told_before(tmp_path):
    """Orbax and TensorStore answer a full disk with tracebacks of their threads."""
    small = TrainState(jnp.int32(8), {"heads": jnp.zeros(4)}, None, ())
    with opened(tmp_path) as checkpoints:
        with files_of_at_most(1 << 19), pytest.raises(UserError, match="no space left"):
            checkpoints.save(1, small, VAL, best=1)
        assert not epochs_on_disk(tmp_path)
        checkpoints.save(1, small, VAL, best=1)


def test_a_save_while_training_goes_on_is_of_the_state_before(tmp_path):
    """The next steps take the memory of the state that is being saved."""
    take_steps = jax.jit(
        lambda state: jax.tree.map(lambda leaf: leaf * 0.5 + 1, state), donate_argnums=0
    )
    noise = {"heads": jax.random.normal(jax.random.key(0), (1 << 21,))}  # 8 MiB
    state = take_steps(TrainState(jnp.float32(0), noise, jax.tree.map(jnp.copy, noise), ()))
    with opened(tmp_path) as checkpoints:
        copies = {}
        for epoch in range(1, 4):
            copies[epoch] = jax.tree.map(lambda leaf: np.array(leaf, copy=True), state)
            checkpoints.save(epoch, state, VAL, best=1, keep=range(1, epoch))
            for _ in range(10):
                before, state = state, take_steps(state)
            assert before.params["heads"].is_deleted()
        checkpoints.wait()
        for epoch, copy in copies.items():
            assert_same(copy, checkpoints.restore(epoch, state))


def test_the_best_and_the_latest_outlive_a_kill_at_any_moment(tmp_path, monkeypatch):
    """Each change of the folder's names is preceded by a copy of it: what a kill would leave."""
    folder, copies, lock = tmp_path / "run" / "checkpoints", {}, threading.RLock()

    def photograph():
        names = sorted(path for depth in ("*", "*/*") for path in folder.glob(depth))
        names = tuple(path for path in names if ".orbax-checkpoint-tmp" not in str(path))
        if names not in copies:
            copies[names] = None  # what copies the files does not start another copy
            copies[names] = tmp_path / f"copy-{len(copies)}"
            unfinished = shutil.ignore_patterns("*.orbax-checkpoint-tmp*")
            shutil.copytree(folder, copies[names] / "checkpoints", ignore=unfinished)

    def photographed(function):
        def after_a_photograph(*arguments, **options):
            with lock:  # whatever other threads do waits for the copy
                photograph()
            return function(*arguments, **options)

        return after_a_photograph

    named = {1: 1, 2: 1, 3: 3, 4: 4}
    with opened(tmp_path / "run") as checkpoints:
        for name in ("rename", "replace", "unlink", "rmdir", "remove"):
            monkeypatch.setattr(os, name, photographed(getattr(os, name)))
        for epoch, best in named.items():
            checkpoints.save(epoch, small_state(epoch), VAL, best)
        checkpoints.wait()
        monkeypatch.undo()
    found = []
    for copy in copies.values():
        with opened(copy) as checkpoints:
            latest = checkpoints.latest()
            found.append(latest or 0)
            assert checkpoints.best() == named.get(latest)
            for epoch in {latest, checkpoints.best()} - {None}:
                assert_same(small_state(epoch), checkpoints.restore(epoch, small_state(0)))
            checkpoints.save(5, small_state(5), VAL, best=checkpoints.best() or 5)
            checkpoints.wait()
            assert epochs_on_disk(copy) == sorted({5, checkpoints.best()})
    assert found == sorted(found)
    assert set(found) == {0, 1, 2, 3, 4}


def test_a_checkpoint_that_its_run_removes_meanwhile(tmp_path):
    with opened(tmp_path) as training, opened(tmp_path, read_only=True) as reading:
        training.save(1, small_state(1), VAL, best=1)
        training.wait()
        epoch = reading.resolve("best")
        training.save(2, small_state(2), VAL, best=2)
        training.wait()
        with pytest.raises(UserError, match=r"epoch 1 .* run the same command again"):
            reading.restore_params(epoch, small_state(0).params)
        assert reading.resolve("best") == 2
