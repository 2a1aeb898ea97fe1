"""Sweeps over fields of an experiment's config: trials on val, in folders below the workdir.

Any number of workers run the same command on one PostgreSQL database, each on a machine of its
own or with others. A trial is a run; it never reads test, which is for the one that is chosen.
"""

import contextlib
import functools
import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import tracking, validation
from mnist3.errors import UserError, nearest
from mnist3.files import write_json
from mnist3.jobs import output, parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.parts import Parts
from mnist3.jobs.population import Outcome, Watch
from mnist3.jobs.population import learn as learn_together
from mnist3.locking import InUse, locked
from mnist3.reporting import sweep as reporting
from mnist3.results import Result
from mnist3.sweeps import Sweep, checks, definition, study
from mnist3.sweeps.study import Claim, Study
from mnist3.sweeps.swept import Swept
from mnist3.tasks import Task
from mnist3.tracking import Stopped, flatten
from mnist3.training import population

WAIT = 600.0  # s for another worker to write the page


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Runs the trials of a sweep that are left, and writes its files into its workdir.

    Raises:
        UserError: if there is no sweep, it cannot be made over the config, or another worker has
            a workdir that is for one alone.
    """
    sweep = arguments.sweep
    if sweep is None:
        raise UserError(
            f"the experiment {arguments.experiment} has no get_sweep(argument), which says what to "
            "search; add one as in experiments/quickstart.py, or give "
            "--sweep=experiments/sweeps/random.yaml."
        )
    checks.check(sweep, config)
    _chosen_by(sweep, parts.task_of(config))
    if arguments.storage is not None and arguments.workdir is None:
        raise UserError(
            "--storage is shared by all workers of a sweep, which know it by the name of its "
            "workdir; give all the same --workdir."
        )
    folder = arguments.workdir or workdir.fresh_workdir(f"{arguments.experiment}-sweep")
    url = study.database(arguments.storage, folder)
    with _joined(folder, shared=arguments.storage is not None):
        logging.info("workdir: %s", folder)
        made = parts.load(config, arguments.data_dir)
        made.prepare()  # which tells what the learner lacks
        with study.reachable(url):
            job = _Job(made, sweep, arguments, folder, url)
            job.work()
            job.write()
    return 0


def _chosen_by(sweep: Sweep, task: Task) -> tuple[str, str]:
    """Returns the metric that trials are chosen by, and whether to maximize or minimize it.

    Raises:
        UserError: if the task has no such metric, or Hyperband would not have it in time.
    """
    headline = f"{definition.SPLIT}{task.metrics[0]}"
    metric = sweep.metric or headline
    name = metric.removeprefix(definition.SPLIT).partition("/")[0]
    if name not in task.metrics:
        raise UserError(
            f"the sweep's metric is {metric}; did you mean "
            f"{definition.SPLIT}{nearest(name, task.metrics)}? The task {task.name} has "
            f"{', '.join(task.metrics)}."
        )
    early = (headline, f"{definition.SPLIT}nll")
    if sweep.hyperband is not None and metric not in early:
        raise UserError(
            f"Hyperband compares trials after each epoch, when {metric} is not known; choose by "
            f"{' or '.join(early)}."
        )
    return metric, sweep.goal or ("maximize" if task.higher_is_better else "minimize")


@contextlib.contextmanager
def _joined(folder: str, shared: bool) -> Iterator[None]:
    """Makes the folder of a sweep, and keeps other workers out of it unless they share a database.

    Raises:
        UserError: if it holds a run, or another worker has it.
    """
    if os.path.exists(os.path.join(folder, "config.json")):
        raise UserError(f"{folder} holds a run; give the sweep another --workdir.")
    with contextlib.ExitStack() as stack:
        if shared:
            workdir.make(folder)
        else:
            try:
                stack.enter_context(workdir.held(folder, lambda: None))
            except InUse as error:
                raise UserError(
                    f"{str(error).partition(';')[0]}; a sweep with several workers needs "
                    "--storage=postgresql://USER:PASSWORD@HOST/DATABASE."
                ) from error
        yield


class _Job:
    """One worker of a sweep.

    Args:
        made: of the experiment.
        sweep: what is searched.
        arguments: of the command line.
        folder: workdir of the sweep.
        url: of its database.
    """

    def __init__(self, made: Parts, sweep: Sweep, arguments: Arguments, folder: str, url: str):
        self._made, self._sweep, self._arguments, self._folder = made, sweep, arguments, folder
        self._metric, self._goal = _chosen_by(sweep, made.task)
        self._budget = sweep.budget(arguments.trials)
        together = checks.trains_together(sweep, made.config)
        self._together = arguments.together if together else 1
        self._name = os.path.basename(os.path.abspath(folder))
        self._study = Study(
            self._name if arguments.storage is not None else "sweep",  # a file may be moved
            url,
            sweep,
            made.config,
            self._goal,
            checks.most_epochs(sweep, made.config),
            made.dataset.fingerprint,
        )
        if not self._study.trials() and os.path.exists(os.path.join(folder, "trials")):
            raise UserError(
                f"{folder} has trials that its database does not know; give the sweep the "
                "--storage that it began with, or another --workdir."
            )

    def work(self) -> None:
        """Runs trials until none is left, and no other worker can leave one."""
        while True:
            claims = self._study.claim(self._budget, self._together)
            if claims:
                self._run(claims)
            elif self._study.has_open():
                study.pause()
            else:
                return

    def _run(self, claims: Sequence[Claim]) -> None:
        """Runs trials that were taken, and tells the study what became of them."""
        try:
            with self._study.beating(claims):
                configs = [self._config(claim) for claim in claims]
                epochs = map(checks.epochs_of, configs)
                outcomes = learn(
                    configs,
                    [os.path.join(self._folder, claim.known.folder) for claim in claims],
                    [
                        functools.partial(self._watch, *each)
                        for each in zip(claims, epochs, strict=True)
                    ],
                    self._made,
                    self._arguments.data_dir,
                )
            for claim, outcome in zip(claims, outcomes, strict=True):
                self._tell(claim, outcome)
        except BaseException:
            for claim in claims:
                claim.give_back()
            raise

    def _config(self, claim: Claim) -> ConfigDict:
        trial = claim.known
        logging.info(
            "trial %d of %d: %s", trial.number, self._budget, reporting.words(trial.values)
        )
        config = configs.with_values(self._made.config, trial.values, "the sweep")
        config.wandb = tracking.part_of(config.wandb, self._name)
        return config

    def _watch(self, claim: Claim, epochs: int, line: Mapping[str, Any]) -> None:
        """Tells the study of an epoch of a trial that ends after so many.

        Raises:
            Stopped: if the trial is to end there.
        """
        value = flatten({"val": line["val"]}).get(self._metric)
        if value is None:  # known at the end alone
            return
        reason = claim.report(line["epoch"], value, last=line["epoch"] >= epochs)
        if reason:
            raise Stopped(reason)

    def _tell(self, claim: Claim, outcome: Outcome) -> None:
        number = claim.known.number
        if isinstance(outcome, Result):
            value = flatten(outcome.metrics).get(self._metric)
            if not isinstance(value, int | float) or not math.isfinite(value):
                claim.fail({"reason": f"{self._metric} is {value} and no number to choose by"})
                return
            train = outcome.learned.training
            claim.complete(
                value,
                {
                    "seconds": train["seconds"],
                    "epochs": train.get("epochs"),
                    "val": outcome.measured["val"],
                },
            )
            logging.info("trial %d: %s %.4f", number, self._metric, value)
        elif isinstance(outcome, Stopped):
            claim.prune({"reason": str(outcome)})
            logging.info("trial %d is stopped, %s", number, outcome)
        else:
            claim.fail({"reason": str(outcome)})
            logging.warning("trial %d failed: %s", number, outcome)

    def write(self) -> None:
        """Writes the files of the sweep and prints its trials; who comes last knows all of them."""
        with contextlib.ExitStack() as stack:
            if self._arguments.storage is not None:
                stack.enter_context(locked(self._folder, WAIT))
            swept = Swept(
                self._made.config,
                self._sweep,
                self._metric,
                self._goal,
                self._budget,
                self._made.dataset,
                self._made.task,
                self._study.trials(),
                self._study.best(),
                self._study.importances(),
            )
            best = self._best_command(swept)
            write_json(os.path.join(self._folder, "metrics.json"), swept.metrics)
            drawn = reporting.draw_all(swept) if self._arguments.figures != "none" else {}
            stack.enter_context(
                output.writing_page(
                    self._folder,
                    lambda: reporting.page(swept, best),
                    self._made.config,
                    drawn.items(),
                    self._arguments,
                )
            )
        print(reporting.text(swept, self._folder, best))

    def _best_command(self, swept: Swept) -> str | None:
        """Returns the command that trains as the best trial did, and reads test; None without."""
        if swept.best is None:
            return None
        words = [f"--config.{name}={value}" for name, value in swept.best.values.items()]
        own = os.path.join("runs", f"{self._name}-best")
        program = shlex.split(self._arguments.command)
        start = program[: 2 if program[0] == "python" else 1]
        data = [f"--data_dir={folder}"] if (folder := self._arguments.data_dir) else []
        return shlex.join([*start, *self._arguments.given, *words, *data, f"--workdir={own}"])


def learn(
    trials: Sequence[ConfigDict],
    folders: Sequence[str],
    watches: Sequence[Watch],
    made: Parts,
    data_dir: str | None,
) -> list[Outcome]:
    """Runs a batch of trials, each from where an earlier attempt left it, on val alone.

    Those that differ in numbers alone train in one program.

    Args:
        trials: the config of each.
        folders: the workdir of each.
        watches: called with each epoch of each; may raise `Stopped`.
        made: of the experiment, whose data and examples serve all that have the same.
        data_dir: folder with the data.

    Returns:
        of each trial its result, why it was stopped, or why it cannot be run.

    Raises:
        UserError: if files cannot be written, which is no fault of a trial.
    """
    outcomes: dict[int, Outcome] = {}
    alike: dict[str, dict[int, Parts]] = {}
    for place, (config, folder) in enumerate(zip(trials, folders, strict=True)):
        try:
            own = _load(config, folder, made, data_dir)
        except UserError as error:
            if isinstance(error.__cause__, OSError):
                raise
            outcomes[place] = error
            continue
        together = len(trials) > 1 and config.learner.name == configs.NETWORK
        kind = population.likeness(config) if together else str(place)
        alike.setdefault(kind, {})[place] = own
    for each in alike.values():
        found = _learn(
            [*each.values()],
            [folders[place] for place in each],
            [watches[place] for place in each],
        )
        outcomes |= zip(each, found, strict=True)
    return [outcomes[place] for place in range(len(trials))]


def _learn(
    every: Sequence[Parts], folders: Sequence[str], watches: Sequence[Watch]
) -> Sequence[Outcome]:
    """Returns what became of trials that are alike."""
    try:
        if len(every) > 1:
            logging.info("%d trials train in one program", len(every))
            return learn_together(every, folders, watches, _claimed)
        return [_learn_one(every[0], folders[0], watches[0])]
    except (Stopped, UserError) as error:
        if isinstance(error.__cause__, OSError):
            raise
        if len(every) == 1:
            return [error]
        logging.warning("the trials cannot train together, so they take turns: %s", error)
    return [
        _learn([own], [folder], [watch])[0]
        for own, folder, watch in zip(every, folders, watches, strict=True)
    ]


def _load(config: ConfigDict, folder: str, made: Parts, data_dir: str | None) -> Parts:
    """Returns the parts of a trial, once it is known that they can learn in its folder."""
    validation.validate(config)
    same_data = _same(config, made.config, "train_limit")
    same_examples = same_data and _same(config, made.config, "shifted_copies")
    own = parts.load(
        config,
        data_dir,
        made.dataset if same_data else None,
        made.examples if same_examples else None,
    )
    workdir.require_same_data(folder, own.dataset)
    parts.require_initial(own, folder)
    return own


def _learn_one(own: Parts, folder: str, watch: Watch) -> Result:
    """Returns the result of a trial, which has read val."""
    return output.learned(own, parts.prepared(own), folder, watch, _claimed)


@contextlib.contextmanager
def _claimed(folder: str, config: ConfigDict) -> Iterator[None]:
    """Claims the workdir of a trial, if need be once a worker that was taken for dead has ended."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(workdir.claimed(folder, config))
                break
            except InUse as error:
                logging.info("%s", error)
                study.pause()
        yield


def _same(one: ConfigDict, other: ConfigDict, field: str) -> bool:
    return one.data.get(field) == other.data.get(field)
