import shutil

import jax
import numpy as np
import pytest
from mnist3.training.inference import load_reader

from mnist3.config import base
from mnist3.errors import UserError
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble


def tiny_config():
    config = base()
    config.data.digits, config.data.height, config.data.width = 2, 28, 56
    config.model.stem, config.model.channels = 4, (8,)
    return config


def moved(state, distance):
    return state._replace(params=jax.tree.map(lambda leaf: leaf + distance, state.params))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Four epochs, of which the second is the best, with parameters of their own."""
    workdir = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(str(workdir))
    state = assemble(tiny_config(), 128).initial_state()
    for epoch, exact_match in enumerate((0.1, 0.7, 0.7, 0.5), start=1):
        nll = 1.0 if epoch == 2 else 2.0
        checkpoints.save(epoch, moved(state, epoch), {"exact_match": exact_match, "nll": nll})
    checkpoints.wait()
    yield workdir, state, checkpoints
    checkpoints.close()


def test_the_best_and_the_latest_are_kept_and_no_other(saved):
    workdir, _, checkpoints = saved
    assert (checkpoints.best(), checkpoints.latest()) == (2, 4)
    kept = sorted(path.name for path in (workdir / "checkpoints").iterdir() if path.is_dir())
    assert kept == ["2", "4"]


def test_a_checkpoint_gives_back_the_same_bytes(saved):
    _, state, checkpoints = saved
    restored = checkpoints.restore(2, state)
    for expected, found in zip(*map(jax.tree.leaves, (moved(state, 2), restored)), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_the_shapes_of_a_state_are_enough_to_restore_it(saved):
    _, state, checkpoints = saved
    parts = assemble(tiny_config(), 128)
    restored = checkpoints.restore(4, parts.state_shapes())
    for expected, found in zip(*map(jax.tree.leaves, (moved(state, 4), restored)), strict=True):
        np.testing.assert_array_equal(expected, found)
        assert found.sharding.mesh == parts.mesh


def test_names_of_checkpoints(saved):
    checkpoints = saved[2]
    assert [checkpoints.resolve(name) for name in ("best", "latest", "2")] == [2, 4, 2]
    with pytest.raises(UserError, match=r"'3'.*best, latest, 2, 4"):
        checkpoints.resolve("3")


def test_a_reader_reads_images_of_any_number(saved):
    read = load_reader(tiny_config(), str(saved[0]), "best")
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 56), dtype=np.uint8)
    prediction = read(images)
    assert prediction.digits.shape == (7, 2)
    assert prediction.confidence.shape == (7,)
    np.testing.assert_allclose(
        prediction.confidence, prediction.digit_confidences.prod(axis=1), rtol=1e-5
    )


def test_a_workdir_without_checkpoints_says_to_train(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="train first"):
        Checkpoints(str(tmp_path), read_only=True).resolve("best")


@pytest.mark.parametrize("item", ["default", "metrics", "."])
def test_what_a_killed_process_left_half_deleted_is_cleared_away(saved, tmp_path, item):
    shutil.copytree(saved[0] / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "2" / item / "commit_success.txt").unlink()
    checkpoints = Checkpoints(str(tmp_path))
    assert (checkpoints.best(), checkpoints.latest()) == (4, 4)
    checkpoints.close()
