"""The candidates of a comparison: their configs by name, and what makes each learn."""

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from mnist3 import config as configs
from mnist3 import estimators, experiments, learners, tasks, tracking, validation
from mnist3.config import NETWORK
from mnist3.data import columns, tabular
from mnist3.data.splits import Dataset
from mnist3.data.table_dataset import TableDataset
from mnist3.data.tabular import Table
from mnist3.errors import UserError
from mnist3.estimators import tabular as tabular_estimators
from mnist3.files import replicate_folder
from mnist3.jobs import output, parts
from mnist3.jobs.parts import Parts
from mnist3.learners import estimator, tuning
from mnist3.learners.cached import fits_cache
from mnist3.results import Replicated, Result
from mnist3.tasks import Examples
from mnist3.tracking import Tracker
from mnist3.training.loop import NotFinite

Make = Callable[[], Result]  # lets a candidate learn
FREE = ("data.train_limit", "data.shifted_copies", "data.train_examples")  # where val chooses


def resolve(config: ConfigDict) -> dict[str, list[ConfigDict]]:
    """Returns the configs of the experiments to compare, by a name that tells them apart.

    Experiments that differ in the seed alone are replicates of one candidate, as are those of one
    with several seeds; of a learner without anything random the first stands for all.

    Raises:
        UserError: if there is none, one cannot be read or compared, two are the same, or they
            differ in data or task. How many training images each gets, and whether with shifted
            copies, may differ where val chooses; cross-validation takes no copies and no numbers.
    """
    texts = config.compare.experiments
    if not texts:
        raise UserError(
            "config.compare.experiments is empty; name the experiments to compare, for instance "
            "with --config=experiments/compare.py."
        )
    named = [(text, _resolve_one(text, config.compare.by)) for text in texts]
    texts = [text for text, each in named for _ in configs.seeds_of(each)]
    each_config = [
        configs.of_replicate(each, seed) if "seeds" in each else each
        for _, each in named
        for seed in configs.seeds_of(each)
    ]
    for text, each in zip(texts, each_config, strict=True):
        if differing := _difference(each_config[0], each, config.compare.by):
            raise UserError(
                f"{texts[0]!r} and {text!r} differ in {differing}; give all of "
                "config.compare.experiments the same data and task."
            )
    found: dict[str, list[ConfigDict]] = {}
    for each in each_config:
        like = next(other for other in each_config if other.learner.name == each.learner.name)
        name = name_of(each, like)
        if any(each.seed == other.seed for other in found.get(name, [])):
            raise UserError(
                f"config.compare.experiments has {name!r} twice; leave one of them out."
            )
        if name not in found or _draws(each):
            found.setdefault(name, []).append(each)
    return found


def _draws(config: ConfigDict) -> bool:
    """Tells whether another seed can make another result."""
    if config.learner.name == NETWORK:
        return True
    made = estimators.create(config.learner, parts.task_of(config), config.seed)
    return any(name.rpartition("__")[2] == "random_state" for name in made.get_params())


def _resolve_one(text: str, by: str) -> ConfigDict:
    """Returns the config of an experiment that can be compared."""
    this = f"config.compare.experiments has {text!r}"
    try:
        config = experiments.load(text)
    except UserError as error:
        raise UserError(f"{this}, which cannot be read: {error}") from error
    validation.validate(config)
    if config.kind not in ("numbers", "digits"):
        raise UserError(
            f"{this}, which reads neither numbers nor single digits; name experiments such as "
            "experiments/quickstart.py or experiments/classify.py."
        )
    if configs.population_of(config):
        raise UserError(
            f"{this}, whose population is a comparison already; run it alone, or name an "
            "experiment for each of its candidates."
        )
    if config.learner.name != NETWORK:
        estimators.create(config.learner, parts.task_of(config), config.seed)
    elif by == "cross_validation" and config.kind == "numbers":
        raise UserError(
            f"{this}, whose models are trained once and not in folds; set config.compare.by=val."
        )
    elif by == "cross_validation":
        tuning.as_estimator(config, parts.task_of(config))
    if config.data.get("shifted_copies") and by == "cross_validation":
        raise UserError(
            f"{this}, whose shifted copies of one image would be in several folds; leave them out "
            "or set config.compare.by=val."
        )
    return config


def name_of(config: ConfigDict, like: ConfigDict) -> str:
    """Returns what tells an experiment apart from the others that it is compared with.

    It is the model or the estimator, with what differs: an estimator's own settings from its
    defaults, and every field but the seed from the first experiment with the same learner.

    Args:
        config: of the experiment.
        like: of the first experiment with the same learner.
    """
    before = dict(configs.fields(like))
    changed = {
        name: value
        for name, value in configs.fields(config)
        if not name.startswith(("seed", "wandb.", "learner.", "search.method"))
        and name != "model.name"
        and value != before.get(name)
    }
    shifted = changed.pop("data.shifted_copies", config.data.get("shifted_copies", False))
    if config.learner.name == NETWORK:
        words = [config.model.name, *_settings(changed)]
    else:
        task = parts.task_of(config)
        own = estimator.changed_parameters(config, task)
        own.pop("random_state", None)
        words = [config.learner.name, *_settings(own), *_settings(changed)]
        words += ["scaled"] * config.learner.scale
    words += ["shifted copies"] * shifted
    method = configs.search_method(config)
    words += [f"{method} search"] * (method != "none")
    return " ".join(words)


def _settings(changed: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in changed.items()]


def _difference(one: ConfigDict, other: ConfigDict, by: str) -> str | None:
    """Returns the first field of task or data that differs, if it matters."""
    if one.kind != other.kind:
        return f"config.kind ({one.kind!r} and {other.kind!r})"
    values = dict(configs.fields(other))
    for section in ("task.", "data."):
        for name, value in configs.fields(one):
            free = name in FREE and by == "val"
            if name.startswith(section) and value != values[name] and not free:
                return f"config.{name} ({value!r} and {values[name]!r})"
    return None


def prepare(
    config: ConfigDict, folder: str, data_dir: str | None
) -> tuple[dict[str, Make], dict[str, str], Dataset]:
    """Returns by name what makes each candidate learn, their folders, and data.

    The data are those of the first candidate: others may differ in how many training images they
    have. Examples of the same data and task are made once.

    Args:
        config: of the comparison.
        folder: its workdir; candidates learn below it.
        data_dir: folder with the data.

    Raises:
        UserError: as `resolve`, or if the data lack what a learner needs.
    """
    datasets: dict[int, Dataset] = {}
    examples: dict[str, dict[str, Examples]] = {}
    makes: dict[str, Make] = {}
    folders: dict[str, str] = {}
    for place, (name, replicates) in enumerate(resolve(config).items(), start=1):
        every = []
        for each in replicates:
            limit = each.data.train_limit
            sections = configs.to_json(ConfigDict({"data": each.data, "task": each.task}))
            made = parts.load(each, data_dir, datasets.get(limit), examples.get(sections))
            datasets.setdefault(limit, made.dataset)
            examples.setdefault(sections, made.examples)
            each.wandb = tracking.part_of(config.wandb, os.path.basename(os.path.abspath(folder)))
            every.append(made)
        folders[name] = folder_of(place, name)
        first = replicates[0]
        if config.compare.by == "cross_validation":
            makes[name] = functools.partial(_cross_validate, every)
        elif first.learner.name != NETWORK:  # saved where it is chosen: it may be large
            makes[name] = functools.partial(_fit, every, [each.prepare() for each in every])
        else:
            if len(every) > 1 and configs.search_method(first) == "none":
                whole = configs.with_seeds(first, tuple(each.seed for each in replicates))
                whole.wandb = first.wandb
                every = [every[0]._replace(config=whole)]
            learns = [*map(parts.prepared, every)]
            path = os.path.join(folder, folders[name])
            makes[name] = functools.partial(_train, every, learns, path)
    return makes, folders, next(iter(datasets.values()))


def folder_of(place: int, name: str) -> str:
    """Returns the folder of a candidate below the workdir, by its place from 1 on and its name.

    It has the beginning of the name, without what file systems and shells mind.
    """
    kept = re.sub(r"[^\w.=+-]+", "-", name)[:80].strip("-")
    return os.path.join("candidates", f"{place}-{kept}")


def saved_in(folder: str, result: Result) -> str:
    """Returns the folder of what a candidate predicts with.

    Args:
        folder: of the candidate.
        result: of it; of replicates that are runs alone the best one on val is kept for all.
    """
    alone = isinstance(result, Replicated) and len(configs.seeds_of(result.config)) == 1
    return replicate_folder(folder, result.config.seed) if alone else folder


def _together(results: Sequence[Result], failures: dict[int, str] | None = None) -> Result:
    """Returns the result of runs that differ in their seed alone."""
    if len(results) == 1 and not failures:
        return results[0]
    return Replicated.of(None, results, failures or {})


def _fit(every: Sequence[Parts], fits: Sequence[Any]) -> Result:
    """Returns the result of an estimator, which has read val."""
    learned = [fit("", None) for fit in fits]
    return _together([made.result(one, ("val",)) for made, one in zip(every, learned, strict=True)])


def _train(
    every: Sequence[Parts], learns: Sequence[Callable[[str, Tracker], Result]], folder: str
) -> Result:
    """Returns the result of a network trained in a folder, which has read val.

    Replicates that search settings, each its own, are trained one by one in folders below it.
    """
    if len(every) == 1:
        return output.learned(every[0], learns[0], folder)
    results: list[Result] = []
    failures: dict[int, NotFinite] = {}
    for made, learn in zip(every, learns, strict=True):
        seed = made.config.seed
        try:
            results.append(output.learned(made, learn, replicate_folder(folder, seed)))
        except NotFinite as error:
            failures[seed] = error
    if not results:
        raise [*failures.values()][-1]
    return _together(results, {seed: str(error) for seed, error in failures.items()})


def _cross_validate(every: Sequence[Parts]) -> Result:
    """Returns the result of a candidate that folds can be made of, which has read val."""
    return _together([_cross_validate_one(made) for made in every])


def _cross_validate_one(made: Parts) -> Result:
    config, memory = made.config, fits_cache()
    if config.learner.name == NETWORK:
        unfitted = tuning.as_estimator(config, made.task)
    else:
        unfitted = estimators.create(config.learner, made.task, config.seed)
    learned = estimator.learn(config, made.task, unfitted, made.examples, memory)
    learners.calibrate(config, made.dataset, made.examples, learned)
    return made.result(learned, ("val",))


def of_table(config: ConfigDict, dataset: TableDataset) -> dict[str, Make]:
    """Returns by name what makes each learner of a table learn.

    Args:
        config: of kind table.
        dataset: the table.

    Raises:
        UserError: if a learner does not take a setting.
    """
    table = dataset.table
    task = tasks.of_column(table.target, table.classes)
    examples = {
        split: Examples(table.features.iloc[rows], table.labels[rows])
        for split, rows in dataset.rows.items()
    }

    def make(name: str) -> Make:
        own = ConfigDict(config.to_dict())
        own.learner.name = name
        own.search.grid = config.search.grid.to_dict() or dict(
            tabular_estimators.GRIDS.get(name, {})
        )
        preparation = tabular_estimators.create_preparation(table.kinds)
        if name == NETWORK:
            last = tuning.as_estimator(own, task)
            unfitted = Pipeline([("preparation", preparation), ("estimator", last)])
        else:
            parameters = config.learner.parameters.to_dict()
            unfitted = tabular_estimators.create(name, table.kinds, task, parameters, config.seed)
        return functools.partial(learn, own, unfitted)

    def learn(own: ConfigDict, unfitted: BaseEstimator) -> Result:
        learned = estimator.learn(own, task, unfitted, examples, fits_cache())
        learned.extra |= {
            "kinds": dict(table.kinds),
            "formats": dict(table.formats),
            "target": table.target,
            "classes": list(table.classes),
        }
        return Result(own, dataset, task, examples, learned, {})

    return {name: make(name) for name in config.compare.learners}


def load_table(config: ConfigDict) -> TableDataset:
    """Returns the table of a config, split into train and test, and logs what it holds."""
    table = tabular.load(config.data)
    rows = tabular.split_rows(table, config.data.seed, config.search.folds)
    dataset = TableDataset(table, rows, config.data.path or "embedded, synthetic")
    log_table(table, rows)
    return dataset


def log_table(table: Table, rows: Mapping[str, np.ndarray]) -> None:
    """Logs what a table holds and what kind each column is taken for."""
    counts = np.bincount(table.labels)
    logging.info(
        "%s: %d rows, target %s: %s",
        table.name,
        len(table.labels),
        table.target,
        ", ".join(f"{name} {count}" for name, count in zip(table.classes, counts, strict=True)),
    )
    if table.unlabelled:
        logging.warning("left out %d rows whose %s is missing", table.unlabelled, table.target)
    logging.info("%s", tabular.describe_columns(table))
    for note in table.notes:
        logging.warning("%s", note)
    logging.info(
        "  another kind for a column: %s",
        columns.override_text(next(iter(table.kinds)), "categorical"),
    )
    logging.info("  train: %d rows, test: %d rows", len(rows["train"]), len(rows["test"]))


def chosen_on(config: ConfigDict) -> tuple[str, int]:
    """Returns which examples choose, `val` or `cross_validation`, and how many folds train has."""
    if config.kind == "table":
        return "cross_validation", config.search.folds
    if config.kind != "comparison":
        return "val", 0
    return config.compare.by, config.compare.folds


def outcomes(results: Sequence[Result], by: str, folds: int) -> list[Any]:
    """Returns for each replicate what candidates are compared by.

    Args:
        results: the replicates of a candidate.
        by: which examples choose: `val` or `cross_validation`.
        folds: of train.
    """
    if by == "val":
        return [result.outcomes("val") for result in results]
    found = []
    for result in results:
        learned: Any = result.learned  # of an estimator, as folds need
        values = estimator.held_out_predictions(learned, folds, fits_cache())
        targets = result.examples["train"].targets
        predictions = tasks.Predictions(values)
        found.append(result.task.outcomes(targets, predictions))
    return found
