"""The trials of a sweep in a database, by Optuna: who takes which, and what became of them.

Source: T. Akiba et al., Optuna: A next-generation hyperparameter optimization framework, KDD 2019.

Any number of workers share one study. Whatever one decides, it decides while no other does, so
that trials are numbered without gaps and a grid is walked once. A worker renews the heartbeat of
what it has taken; a trial whose heartbeat has stopped is taken up again, under its old number.
"""

import contextlib
import math
import os
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
import sqlalchemy
from absl import logging
from ml_collections import ConfigDict
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from mnist3 import config as configs
from mnist3.errors import UserError
from mnist3.sweeps.definition import Choices, Range, Sweep, labels
from mnist3.tracking import flatten

HEARTBEAT = 5  # s from one sign of life to the next
GRACE = 30  # s without one, after which a worker is taken for dead
RETRIES = 5  # of a trial whose worker died; those that give it back do not count
STUDY_FILE = "study.db"  # in the workdir of a sweep with one worker
_DEFINITION, _DATA, _CLAIMED, _OUTCOME = "definition", "fingerprint", "claimed", "outcome"
_DEATHS = "deaths"  # among what the database keeps of a row for the next attempt
_PATIENT = {"connect_args": {"timeout": 60}}  # s, for a file that is slow to write
_LOCK = 0x6D6E697374330000  # of PostgreSQL's advisory locks, those of sweeps


class Trial(NamedTuple):
    """What is known of a trial.

    Attributes:
        number: from 1.
        state: waiting, running, complete, pruned or failed.
        values: of the parameters that it has so far.
        value: that it is chosen by, on val; of a pruned one after its last epoch; None without.
        by_epoch: the value after each epoch.
        attempts: how many workers have had it.
        outcome: what else it left: `seconds`, `epochs`, `val` (its metrics), `reason`, `worker`.
    """

    number: int
    state: str
    values: dict[str, Any]
    value: float | None
    by_epoch: dict[int, float]
    attempts: int
    outcome: dict[str, Any]

    @property
    def folder(self) -> str:
        """Below the workdir of the sweep."""
        return os.path.join("trials", f"{self.number:04d}")


class Claim:
    """A trial that this worker has taken.

    Attributes:
        known: what is known of it.
    """

    def __init__(self, study: "Study", trial: optuna.Trial, known: Trial):
        self.known = known
        self._study, self._trial = study, trial
        self._reported = set(known.by_epoch)

    def report(self, epoch: int, value: float, last: bool) -> str | None:
        """Tells the study of an epoch; returns why the trial is to end here, None to go on.

        Epochs that an earlier attempt has told of are not told again.

        Args:
            epoch: from 1.
            value: after it.
            last: whether the trial ends here anyway.
        """
        if epoch in self._reported:
            return None
        self._reported.add(epoch)
        try:
            self._trial.report(value, epoch)
        except optuna.exceptions.UpdateFinishedTrialError:
            return "gone to another worker"  # as this one was taken for dead
        if last or not self._trial.should_prune():
            return None
        others = [
            each.by_epoch[epoch]
            for each in self._study.trials()
            if epoch in each.by_epoch and each.number != self.known.number
        ]
        ahead = sum(self._study.is_better(other, value) for other in others)
        return f"behind {ahead} of {len(others)} others after epoch {epoch}"

    def complete(self, value: float, outcome: Mapping[str, Any]) -> None:
        """Ends the trial with the value that it is chosen by, and what else there is to know."""
        self._end(TrialState.COMPLETE, outcome, value)

    def prune(self, outcome: Mapping[str, Any]) -> None:
        """Ends the trial before its last epoch."""
        self._end(TrialState.PRUNED, outcome)

    def fail(self, outcome: Mapping[str, Any]) -> None:
        """Ends the trial without a value, for good."""
        self._end(TrialState.FAIL, outcome)

    def give_back(self) -> None:
        """Lets the next worker take the trial up where it is."""
        self._study.retry(self._trial.number)

    def _end(
        self, state: TrialState, outcome: Mapping[str, Any], value: float | None = None
    ) -> None:
        with self._study.alone():
            if self._study.state(self._trial.number) is TrialState.RUNNING:
                self._trial.set_user_attr(_OUTCOME, {**outcome, "worker": worker_name()})
                self._study.tell(self._trial, state, value)
            else:  # this worker was taken for dead
                logging.warning("trial %d has gone to another worker", self.known.number)


class Study:
    """A sweep's trials, shared by its workers.

    Args:
        name: of the study in the database.
        url: of the database: PostgreSQL, or SQLite for one worker.
        sweep: what is searched.
        config: of the experiment.
        goal: `maximize` or `minimize`.
        epochs: of the longest trial.
        fingerprint: of the data.

    Raises:
        UserError: if the database has another sweep under this name.
    """

    def __init__(
        self,
        name: str,
        url: str,
        sweep: Sweep,
        config: ConfigDict,
        goal: str,
        epochs: int,
        fingerprint: str,
    ):
        self._sweep, self._seed, self._maximizes = sweep, config.seed, goal == "maximize"
        self._shared = not url.startswith("sqlite:")
        self._engine = _engine(url)
        self._distributions = {
            name: _distribution(parameter, dict(configs.fields(config)).get(name))
            for name, parameter in sweep.parameters.items()
        }
        self._labels = {
            name: labels(parameter.values)
            for name, parameter in sweep.parameters.items()
            if isinstance(parameter, Choices)
        }
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if (band := sweep.hyperband) is not None:
            longest = max(band.max_epochs or epochs, band.min_epochs)
            pruner = optuna.pruners.HyperbandPruner(band.min_epochs, longest, band.eta)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with _quiet(), self.alone():
            self._enqueue = RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)
            self._storage = RDBStorage(
                url,
                engine_kwargs={"pool_pre_ping": True} if self._shared else _PATIENT,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=self._retry_of_dead,
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                direction=optuna.study.StudyDirection[goal.upper()],
                sampler=optuna.samplers.RandomSampler(self._seed),  # another one for each trial
                pruner=pruner,
                load_if_exists=True,
            )
            self._require_same(sweep, config, fingerprint)
        if not self._shared:  # nobody else has it, so that what runs has died
            for trial in self._rows():
                if trial.state is TrialState.RUNNING:
                    self.retry(trial.number)

    def _require_same(self, sweep: Sweep, config: ConfigDict, fingerprint: str) -> None:
        """Checks that the study is of this sweep, or makes it so if it is new."""
        now = {"sweep": sweep.describe(), "config": _without_wandb(config)}
        began = self._study.user_attrs
        if _DEFINITION not in began:
            self._study.set_user_attr(_DEFINITION, now)
            self._study.set_user_attr(_DATA, fingerprint)
            return
        before, after = flatten(began[_DEFINITION]), flatten(now)
        for name in sorted(before.keys() | after.keys()):
            was, is_now = before.get(name), after.get(name)
            if was != is_now:
                raise UserError(
                    f"the sweep {self._study.study_name} had another definition: "
                    f"{name.replace('/', '.')} was {was!r} and is now {is_now!r}; choose another "
                    "--workdir, whose name is the sweep's."
                )
        if began[_DATA] != fingerprint:
            raise UserError(
                f"the sweep {self._study.study_name} began with other data (fingerprint "
                f"{began[_DATA][:12]}, here {fingerprint[:12]}); give each worker the same files."
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps every other worker from deciding anything for the length of the block."""
        if not self._shared:  # the workdir is locked
            yield
            return
        with self._engine.begin() as connection:  # the lock ends with the transaction
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            yield

    def claim(self, budget: int, most: int = 1) -> list[Claim]:
        """Returns trials to run: those that were given up first, then new ones; none if all run.

        Of a sweep with several workers nobody takes more than a quarter of what is left, so that
        all end at about the same time.

        Args:
            budget: how many trials the sweep is to have.
            most: how many to take at once.
        """
        with _quiet(), self.alone():
            optuna.storages.fail_stale_trials(self._study)
            for row in self._rows():  # died between being made and its first heartbeat
                if row.state is TrialState.RUNNING and row.user_attrs.get(_CLAIMED) != row.number:
                    self._retry_row(row)
            claims: list[Claim] = []
            known = self.trials()
            left = sum(trial.state == "waiting" for trial in known) + max(budget - len(known), 0)
            if self._shared:
                most = min(most, -(-left // 4))
            while len(claims) < min(most, left):
                claims.append(self._claim())
            return sorted(claims, key=lambda claim: claim.known.number)

    def _claim(self) -> Claim:
        trial = self._study.ask()
        self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(_CLAIMED, trial.number)
        attempts = enumerate(self._attempts(), start=1)
        number = next(number for number, rows in attempts if rows[-1].number == trial.number)
        self._study.sampler = self._sampler(number)
        for name, distribution in self._distributions.items():
            _suggest(trial, name, distribution)
        return Claim(self, trial, self.trials()[number - 1])

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Returns what draws the values of a trial, the same whichever worker has it."""
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        if self._sweep.method == "tpe":
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        drawn = optuna.samplers.RandomSampler(seed)
        if self._sweep.method == "random":
            return drawn
        point = {
            name: str(value) if name in self._labels else value
            for name, value in self._sweep.grid_point(number - 1).items()
        }
        return optuna.samplers.PartialFixedSampler(point, drawn)

    @contextlib.contextmanager
    def beating(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Renews the heartbeats of trials for the length of the block, if others look for them."""
        if not self._shared:
            yield
            return
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT):
                for claim in claims:
                    try:
                        self._storage.record_heartbeat(claim._trial._trial_id)
                    except Exception as error:  # the next one may reach the database again
                        logging.warning("no heartbeat (%s)", " ".join(str(error).split()))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def has_open(self) -> bool:
        """Tells whether there are trials that run, or wait to be taken up again."""
        return any(trial.state in ("running", "waiting") for trial in self.trials())

    def trials(self) -> list[Trial]:
        """Returns every trial once, by number, however many workers have had it."""
        return [
            self._trial(number, rows[-1], len(rows))
            for number, rows in enumerate(self._attempts(), start=1)
        ]

    def _attempts(self) -> list[list[FrozenTrial]]:
        """Returns what the database has of each trial: a row for each worker that has had it."""
        found: dict[int, list[FrozenTrial]] = {}
        for row in self._rows():
            found.setdefault(_first(row), []).append(row)
        return list(found.values())

    def _trial(self, number: int, row: FrozenTrial, attempts: int) -> Trial:
        outcome = dict(row.user_attrs.get(_OUTCOME, {}))
        value = row.value
        if row.state is TrialState.PRUNED and row.intermediate_values:
            value = row.intermediate_values[max(row.intermediate_values)]
        if row.state is TrialState.FAIL and not outcome:
            outcome = {"reason": f"its worker died {_deaths(row) + 1} times"}
        state = {TrialState.FAIL: "failed"}.get(row.state, row.state.name.lower())
        return Trial(
            number,
            state,
            {
                name: self._labels[name][value] if name in self._labels else value
                for name, value in row.params.items()
            },
            value,
            dict(row.intermediate_values),
            attempts,
            outcome,
        )

    def importances(self) -> dict[str, float]:
        """Returns how much of the variance of complete trials each parameter explains.

        Source: F. Hutter, H. Hoos and K. Leyton-Brown, An efficient approach for assessing
        hyperparameter importance, ICML 2014.

        Returns:
            shares that sum to 1, the largest first; empty where there are too few trials.
        """
        values = {row.value for row in self._rows() if row.state is TrialState.COMPLETE}
        if len(values) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        with _quiet():
            found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def is_better(self, one: float, other: float) -> bool:
        """Tells whether a value is better than another."""
        return one > other if self._maximizes else one < other

    def best(self) -> Trial | None:
        """Returns the complete trial with the best value, of several the first."""
        complete = [trial for trial in self.trials() if trial.state == "complete"]
        values = [trial.value for trial in complete if trial.value is not None]
        if not values:
            return None
        return complete[values.index(max(values) if self._maximizes else min(values))]

    def retry(self, row: int) -> None:
        """Gives a trial that runs back, to be taken up again."""
        with _quiet(), self.alone():
            if self.state(row) is TrialState.RUNNING:
                self._retry_row(self._rows()[row])

    def _retry_row(self, row: FrozenTrial) -> None:
        self._study.tell(row.number, state=TrialState.FAIL)
        self._enqueue(self._study, row)

    def _retry_of_dead(self, study: optuna.Study, row: FrozenTrial) -> None:
        """Lets a trial whose worker died be taken up again, unless too many died with it.

        Workers that were stopped in order gave it back, and do not count.
        """
        row.system_attrs[_DEATHS] = _deaths(row) + 1
        if row.system_attrs[_DEATHS] <= RETRIES:
            self._enqueue(study, row)

    def state(self, row: int) -> TrialState:
        """Returns the state of a trial in the database."""
        return self._rows()[row].state

    def tell(self, trial: optuna.Trial, state: TrialState, value: float | None) -> None:
        """Ends a trial in the database."""
        self._study.tell(trial, value, state)

    def _rows(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def pause() -> None:
    """Waits for about as long as it takes to see whether a worker lives."""
    threading.Event().wait(HEARTBEAT)


def worker_name() -> str:
    """Returns what tells this worker from others."""
    return f"{socket.gethostname()}:{os.getpid()}"


def database(storage: str | None, folder: str) -> str:
    """Returns the URL of the database of a sweep, as SQLAlchemy has it.

    Args:
        storage: what the command line says; None for a file in the folder.
        folder: workdir of the sweep.

    Raises:
        UserError: if it is no database for several workers, or the library for it is not there.
    """
    if storage is None:
        return f"sqlite:///{os.path.join(os.path.abspath(folder), STUDY_FILE)}"
    scheme, separator, rest = storage.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg") or not separator:
        raise UserError(
            f"--storage={storage} is no PostgreSQL database; give "
            "postgresql://USER:PASSWORD@HOST/DATABASE, or leave it out to sweep with one worker."
        )
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--storage=postgresql://... needs the library psycopg; install it with "
            "`pip install 'mnist3[postgresql]'`, or leave --storage out to sweep with one worker."
        ) from error
    return f"postgresql+psycopg://{rest}"


def _engine(url: str) -> sqlalchemy.Engine:
    try:
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise UserError(
            f"--storage is no URL of a database ({error}); give "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from error


@contextlib.contextmanager
def reachable(url: str) -> Iterator[None]:
    """Says in a sentence that a database cannot be reached in the block.

    Raises:
        UserError: if so.
    """
    try:
        yield
    except sqlalchemy.exc.OperationalError as error:
        shown = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
        raise UserError(
            f"cannot reach the database {shown} ({str(error.orig).strip().splitlines()[0]}); see "
            "to it or to --storage, and run the same command again."
        ) from error


def _distribution(parameter: Choices | Range, default: Any) -> BaseDistribution:
    """Returns a parameter as Optuna has it; whole numbers where the field takes those."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(list(labels(parameter.values)))
    low, high = parameter.low, parameter.high
    if isinstance(low, int) and isinstance(high, int) and not isinstance(default, float):
        return IntDistribution(low, high, log=parameter.log, step=int(parameter.step or 1))
    if parameter.step is not None:  # or Optuna would warn that it lowers the end
        high = low + math.floor((high - low) / parameter.step + 1e-9) * parameter.step
    return FloatDistribution(low, high, log=parameter.log, step=parameter.step)


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )


def _first(row: FrozenTrial) -> int:
    """Returns the number in the database of the first attempt at a trial."""
    history = row.system_attrs.get("retry_history") or [row.number]
    return history[0]


def _deaths(row: FrozenTrial) -> int:
    """Returns how many workers of a trial died before this attempt."""
    return row.system_attrs.get(_DEATHS, 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out that heartbeats, retries and fixed values are new in Optuna."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
        yield


def _without_wandb(config: ConfigDict) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name != "wandb"}
