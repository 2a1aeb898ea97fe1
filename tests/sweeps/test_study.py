"""Trials in a database: who takes which, what becomes of them, and what is known of each."""

import pytest

from mnist3 import config as configs
from mnist3.errors import UserError
from mnist3.sweeps import Choices, Hyperband, Range, Sweep, study

PARAMETERS = {
    "optimizer.learning_rate": Range(1e-3, 1e-2, log=True),
    "model.channels": Choices(((8,), (16, 16))),
    "augmentation.shift": Range(0, 3),
}


@pytest.fixture
def opened(tmp_path):
    """Opens the study of a sweep again and again in one file, as a worker that starts does."""

    def opened(sweep=None, config=None, goal="maximize", epochs=4, data="abc"):
        url = study.database(None, str(tmp_path))
        sweep = sweep or Sweep(PARAMETERS, method="random")
        return study.Study("s", url, sweep, config or configs.numbers(), goal, epochs, data)

    return opened


def value_of(values):
    return values["optimizer.learning_rate"] * 100


def work(worker, budget, until=None):
    """Ends trials until there is none left; returns those that were taken, in their order."""
    taken = []
    while claims := worker.claim(budget):
        (claim,) = claims
        taken.append(claim.known)
        claim.complete(value_of(claim.known.values), {"val": {}, "seconds": 1.0})
        if len(taken) == until:
            break
    return taken


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_sweep_that_was_stopped_goes_on_as_if_it_had_not_been(method, opened, tmp_path):
    sweep = Sweep(PARAMETERS, method=method)
    whole = [trial.values for trial in work(opened(sweep), 6)]
    for path in tmp_path.iterdir():
        path.unlink()
    parts = work(opened(sweep), 6, until=2) + work(opened(sweep), 4) + work(opened(sweep), 6)
    assert [trial.values for trial in parts] == whole
    assert [trial.number for trial in parts] == [1, 2, 3, 4, 5, 6]
    assert len({value["optimizer.learning_rate"] for value in whole}) == 6


def test_values_are_of_their_fields_types(opened):
    for trial in work(opened(), 5):
        assert 1e-3 <= trial.values["optimizer.learning_rate"] <= 1e-2
        assert trial.values["model.channels"] in ((8,), (16, 16))
        assert isinstance(trial.values["augmentation.shift"], int)


def test_a_grid_is_walked_once(opened):
    sweep = Sweep(
        {"seed": Range(0, 2), "optimizer.learning_rate": Choices((0.1, 0.2))}, method="grid"
    )
    worker = opened(sweep)
    values = [tuple(trial.values.values()) for trial in work(worker, sweep.budget(None))]
    assert values == [(seed, rate) for seed in (0, 1, 2) for rate in (0.1, 0.2)]


def test_who_died_in_a_trial_gives_it_up_under_its_number(opened):
    first = opened()
    (claim,) = first.claim(3)
    claim.report(1, 0.5, last=False)
    again = opened()  # the file has one worker at a time, so that the first one is dead
    assert [trial.state for trial in again.trials()] == ["waiting"]
    (retried,) = again.claim(3)
    assert retried.known.number == 1 and retried.known.folder == claim.known.folder
    assert retried.known.values == claim.known.values
    assert retried.known.by_epoch == {1: 0.5}
    assert retried.report(1, 0.5, last=False) is None  # told already
    retried.complete(0.7, {"val": {}})
    (known,) = again.trials()
    assert (known.state, known.value, known.attempts) == ("complete", 0.7, 2)
    assert len(work(again, 3)) == 2


def test_who_died_in_several_trials_gives_each_up_under_its_number(opened):
    claims = opened().claim(4, most=3)
    claims[1].report(1, 0.5, last=False)
    claims[2].complete(0.9, {"val": {}})
    again = opened()
    assert [trial.state for trial in again.trials()] == ["waiting", "waiting", "complete"]
    retried = again.claim(4, most=3)
    assert [claim.known.number for claim in retried] == [1, 2, 4]
    assert [claim.known.values for claim in retried[:2]] == [c.known.values for c in claims[:2]]
    assert [claim.known.by_epoch for claim in retried] == [{}, {1: 0.5}, {}]
    for claim in retried:
        claim.complete(0.1 * claim.known.number, {"val": {}})
    known = again.trials()
    assert [trial.attempts for trial in known] == [2, 2, 1, 1]
    assert [round(trial.value, 1) for trial in known] == [0.1, 0.2, 0.9, 0.4]


def test_a_trial_that_another_worker_has_taken_over_is_told_of_once(opened):
    slow = opened()
    (claim,) = slow.claim(1)
    (retried,) = opened().claim(1)
    assert claim.report(1, 0.1, last=False) == "gone to another worker"
    claim.complete(0.1, {"val": {}})  # back after it was taken for dead
    retried.complete(0.9, {"val": {}})
    assert [trial.value for trial in slow.trials()] == [0.9]


def test_what_was_given_back_comes_first(opened):
    worker = opened()
    (claim,) = worker.claim(2)
    claim.give_back()
    assert [trial.number for trial in work(worker, 2)] == [1, 2]


def test_workers_that_died_count_and_those_that_stopped_do_not(opened, monkeypatch):
    worker = opened()

    def die(claim):
        """Lets the heartbeat of a trial's worker stop."""
        stale = [claim._trial._trial_id]
        monkeypatch.setattr(worker._storage, "_get_stale_trial_ids", lambda study: stale)
        claims = worker.claim(1)
        monkeypatch.undo()
        return claims

    (claim,) = worker.claim(1)
    for _ in range(study.RETRIES + 1):
        claim.give_back()
        (claim,) = worker.claim(1)
    for _ in range(study.RETRIES):
        (claim,) = die(claim)
    assert die(claim) == []
    (known,) = worker.trials()
    assert (known.state, known.outcome["reason"]) == ("failed", "its worker died 6 times")


def test_several_are_taken_at_once(opened):
    worker = opened()
    claims = worker.claim(3, most=2)
    assert [claim.known.number for claim in claims] == [1, 2]
    assert worker.has_open()
    assert [claim.known.number for claim in worker.claim(3, most=2)] == [3]
    assert worker.claim(3) == []


def test_failed_and_stopped_trials_count(opened):
    worker = opened(Sweep(PARAMETERS, method="random", hyperband=Hyperband(1, 2)), epochs=2)
    reasons = []
    for value in (0.9, 0.8, 0.1, 0.05):
        (claim,) = worker.claim(9)
        reason = claim.report(1, value, last=False)
        reasons.append(reason)
        if reason:
            claim.prune({"reason": reason})
        else:
            claim.complete(value, {"val": {}})
    assert "behind 2 of 2 others after epoch 1" in reasons or "behind 3 of 3" in str(reasons)
    (claim,) = worker.claim(9)
    claim.fail({"reason": "the loss is not finite"})
    known = worker.trials()
    assert [trial.state for trial in known].count("failed") == 1
    pruned = [trial for trial in known if trial.state == "pruned"]
    assert pruned and all(trial.value == trial.by_epoch[1] for trial in pruned)
    assert worker.claim(5) == []
    assert worker.best().value == 0.9


def test_nothing_is_stopped_at_its_last_epoch(opened):
    worker = opened(Sweep(PARAMETERS, method="random", hyperband=Hyperband(1, 2)), epochs=2)
    for value in (0.9, 0.1, 0.1, 0.1):
        (claim,) = worker.claim(9)
        assert claim.report(2, value, last=True) is None


@pytest.mark.parametrize(("goal", "best"), [("maximize", max), ("minimize", min)])
def test_the_best_is_what_the_goal_says(goal, best, opened):
    worker = opened(goal=goal)
    assert worker.best() is None
    work(worker, 5)
    assert worker.best().value == best(trial.value for trial in worker.trials())


def test_what_moves_the_value_is_important(opened):
    worker = opened()
    assert worker.importances() == {}
    work(worker, 12)
    found = worker.importances()
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "optimizer.learning_rate" and found.keys() == PARAMETERS.keys()


def test_another_sweep_or_other_data_are_refused(opened):
    opened()
    opened(config=_with(wandb__mode="disabled"))  # which changes no result
    with pytest.raises(UserError, match=r"config\.training\.epochs was 5 and is now 6"):
        opened(config=_with(training__epochs=6))
    with pytest.raises(UserError, match=r"sweep\.method was 'random' and is now 'tpe'"):
        opened(Sweep(PARAMETERS, method="tpe"))
    with pytest.raises(UserError, match="began with other data"):
        opened(data="abd")


def _with(**changes):
    config = configs.numbers()
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in changes.items()}
    )
    return config


@pytest.mark.parametrize("storage", ["mysql://a/b", "runs/x.db", "postgresql"])
def test_other_databases_are_refused(storage):
    with pytest.raises(UserError, match="give postgresql://USER:PASSWORD@HOST/DATABASE"):
        study.database(storage, "runs/a")


def test_a_database_that_is_not_there_is_said_without_its_password(tmp_path):
    url = study.database(f"postgresql://me:secret@/db?host={tmp_path}", "runs/a")
    with (
        pytest.raises(UserError, match="cannot reach the database") as refusal,
        study.reachable(url),
    ):
        study.Study("s", url, Sweep(PARAMETERS), configs.numbers(), "maximize", 1, "abc")
    assert "secret" not in str(refusal.value)
