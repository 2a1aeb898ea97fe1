"""What a run survives, each a few times; `python -m tests.faults` tries it as often as docs say."""

import errno
import os

import pytest

from mnist3.training import kept
from tests.faults import tiny, trials
from tests.faults.calls import Calls

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("faults")
    with tiny.environment(made / "cache"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "_kept", [])  # a command keeps its programs for the rest of a process
        yield made


@pytest.fixture(scope="module")
def undisturbed(folder):
    return trials.reference(folder)


def test_a_call_that_fails_is_told_and_the_run_goes_on(folder):
    row = trials.failing_calls(folder, (errno.EIO,), first=7, every=40)
    assert (row.held, list(row.failures)) == (row.tried, [])
    assert row.tried > 2


def test_runs_that_are_stopped_go_on_to_the_same_bytes(folder, undisturbed):
    for row in (
        trials.killed(folder, undisturbed, 2),
        trials.asked_to_stop(folder, undisturbed, 2),
    ):
        assert (row.held, list(row.failures)) == (2, [])


def test_of_two_at_once_in_one_workdir_one_runs(folder, undisturbed):
    row = trials.at_once(folder, undisturbed, processes=2, trials=1)
    assert (row.held, list(row.failures)) == (1, [])


def test_clocks_and_caches_change_nothing(folder, undisturbed):
    for row in (
        trials.with_a_jumping_clock(folder, undisturbed, 1),
        trials.with_a_cache_that_vanishes(folder, undisturbed, folder / "cache", 1),
    ):
        assert (row.held, list(row.failures)) == (1, [])


def test_the_calls_of_this_package_alone_fail(tmp_path):
    from mnist3.files import replacing

    with Calls(failing=3, number=errno.ENOSPC) as calls:
        with open(tmp_path / "of a test", "w") as file:
            file.write("not counted")
        with (
            pytest.raises(OSError, match="No space left") as raised,
            replacing(tmp_path / "a") as file,
        ):
            file.write("a")
        assert raised.value.filename == os.path.join(tmp_path, "a")
    assert [call.split()[0] for call in calls.made] == ["open", "write", "fsync", "unlink"]
    assert [path.name for path in tmp_path.iterdir()] == ["of a test"]
