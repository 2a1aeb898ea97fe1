"""Compares experiments: which estimator is best, by how much and how surely.

Each candidate is fitted to train. The winner is chosen on val, or by cross-validation on train; the
test images are read for the table alone, once the winner is known. Fits come from the cache where
they were made before, also by --mode=train.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Bool, Float64
from ml_collections import ConfigDict
from sklearn.model_selection import cross_val_predict
from tqdm import tqdm

from mnist3 import config as configs
from mnist3 import runtime, validation
from mnist3.data import dataset as datasets
from mnist3.data.dataset import Dataset
from mnist3.errors import UserError
from mnist3.evaluation import selection
from mnist3.evaluation.answers import Answer
from mnist3.evaluation.cached import CachedEstimator, Inputs, fits_cache
from mnist3.jobs import compare_output, experiments, fit_output, output, study, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.tasks import Task


class Contender(NamedTuple):
    """A candidate that has been fitted.

    Attributes:
        candidate: the estimator with its parameters.
        answers: what it says, by split.
        outcomes: of each of the images to choose by: whether it is right, or its squared error.
        train_images: that it was fitted to.
    """

    candidate: study.Candidate
    answers: dict[str, Answer]
    outcomes: Bool[np.ndarray, "n"] | Float64[np.ndarray, "n"]
    train_images: int


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Compares the config's experiments and writes the files of a run into its workdir."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    candidates = resolve(config)
    first = next(iter(candidates.values()))
    task, _ = study.create(first)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        loaded = {}
        for each in candidates.values():
            limit = each.data.train_limit
            if limit not in loaded:
                loaded[limit] = datasets.load(each.data, arguments.data_dir, runtime.cache_dir())
                output.log_dataset(loaded[limit])
        workdir.write_config(folder, config)
    with output.tracked(folder, config) as tracker:
        metrics = compare(config, candidates, task, loaded, folder, arguments.command)
        tracker.summary(metrics)
    compare_output.print_table(metrics, task, folder)
    return 0


def resolve(config: ConfigDict) -> dict[str, ConfigDict]:
    """Returns the configs of the experiments to compare, by a name that tells them apart.

    Raises:
        UserError: if there is none, one cannot be read, two are the same, or they differ in data
            or task. How many training images each gets, and whether with shifted copies, may
            differ where val chooses; cross-validation takes no copies.
    """
    texts = config.compare.experiments
    if not texts:
        raise UserError(
            "config.compare.experiments is empty; name the experiments to compare, for instance "
            "with --config=experiments/compare.py."
        )
    found = {}
    for text in texts:
        try:
            each = experiments.load(text)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"config.compare.experiments has {text!r}, which cannot be read: {reason}"
            ) from error
        validation.validate(each)
        if each.task.name == "number":
            raise UserError(
                f"config.compare.experiments has {text!r}, whose task is number; compare tasks of "
                "one digit, as in experiments/classify.py."
            )
        if each.data.shifted_copies and config.compare.by == "cross_validation":
            raise UserError(
                f"config.compare.experiments has {text!r}, whose shifted copies of one image would "
                "be in several folds; leave them out or set config.compare.by=val."
            )
        study.create(each)
        name = name_of(each)
        if name in found:
            raise UserError(
                f"config.compare.experiments has {name!r} twice; leave one of them out."
            )
        found[name] = each
    first_name, first = next(iter(found.items()))
    for name, each in found.items():
        differing = _difference(first, each, config.compare.by)
        if differing:
            raise UserError(
                f"{first_name} and {name} differ in {differing}; give all of "
                "config.compare.experiments the same data and task."
            )
    return found


def name_of(config: ConfigDict) -> str:
    """Returns the estimator of an experiment with what was changed of its own settings."""
    words = [config.estimator.name]
    words += [f"{name}={value}" for name, value in study.changed_parameters(config).items()]
    words += ["scaled"] * config.estimator.scale
    words += ["shifted copies"] * config.data.shifted_copies
    words += [f"{config.search.method} search"] * (config.search.method != "none")
    return " ".join(words)


def _difference(one: ConfigDict, other: ConfigDict, by: str) -> str | None:
    """Returns the first field of data or task that differs, if it matters."""
    values = dict(configs.fields(other))
    for name, value in configs.fields(one):
        free = name in ("data.train_limit", "data.shifted_copies") and by == "val"
        if name.startswith(("data.", "task.")) and value != values[name] and not free:
            return f"config.{name} ({value!r} and {values[name]!r})"
    return None


def compare(
    config: ConfigDict,
    candidates: Mapping[str, ConfigDict],
    task: Task,
    loaded: Mapping[int, Dataset],
    folder: str,
    command: str,
) -> dict[str, Any]:
    """Fits and compares candidates, and writes every file that rests on that.

    Args:
        config: the whole config.
        candidates: configs by name.
        task: of all of them.
        loaded: the dataset for each config.data.train_limit of the candidates.
        folder: workdir of the run.
        command: that made the run.

    Returns:
        The content of metrics.json.
    """
    contenders = {}
    with tqdm(candidates.items(), desc="comparing", unit="estimator", disable=None) as bar:
        for name, each in bar:
            bar.set_postfix_str(name)
            contenders[name], examples = enter(
                each, task, loaded[each.data.train_limit], config.compare.by, config.search.folds
            )
    comparison = selection.compare(
        {name: each.outcomes for name, each in contenders.items()}, config.seed
    )
    lines = {
        rival.name: _line(rival, contenders[rival.name], task, examples, config)
        for rival in comparison.rivals
    }
    winner = contenders[comparison.winner]
    best = lines[comparison.winner]
    metrics = {
        "dataset": loaded[candidates[comparison.winner].data.train_limit].describe(),
        "task": task.name,
        "model": {"name": comparison.winner, "parameters": winner.candidate.parameters},
        "train": {"n": winner.train_images, "seconds": best["fit_seconds"]},
        "val": best["val"],
        "test": best["test"],
        "chosen_by": config.compare.by,
        "metric": comparison.metric,
        "tied": list(comparison.tied),
        "estimators": lines,
    }
    for split in study.HELD_OUT:
        fit_output.write_predictions(
            os.path.join(folder, f"predictions_{split}.csv"),
            task,
            examples[split],
            winner.answers[split],
        )
    workdir.write_json(
        os.path.join(folder, "comparison.json"),
        {
            "winner": comparison.winner,
            "chosen_by": config.compare.by,
            "metric": comparison.metric,
            "tied": list(comparison.tied),
            "rivals": [{"name": rival.name, **rival.measures()} for rival in comparison.rivals],
        },
    )
    workdir.write_json(os.path.join(folder, "metrics.json"), metrics)
    figures = compare_output.draw_figures(
        task,
        examples["val"],
        comparison,
        {rival.name: contenders[rival.name].answers["val"] for rival in comparison.rivals},
        study.data_text(task, metrics["dataset"]["source"]),
        config.compare.by,
        folder,
    )
    compare_output.write_report(folder, config, task, metrics, figures, command)
    return metrics


def enter(
    config: ConfigDict, task: Task, dataset: Dataset, by: str, folds: int
) -> tuple[Contender, dict[str, study.Examples]]:
    """Returns a candidate fitted to train, and the images of the splits.

    Args:
        config: of the candidate.
        task: its task.
        dataset: its data.
        by: `val` or `cross_validation`.
        folds: of the cross-validation.
    """
    memory = fits_cache()
    examples = study.split_examples(config, dataset, task)
    train = Inputs(examples["train"].features)
    targets = examples["train"].targets
    candidate = study.choose(config, train, targets, memory)
    if by == "val":
        answers = study.answer(config, task, candidate, train, examples, memory)
        outcomes = study.outcomes(task, examples["val"].targets, answers["val"].predictions)
    else:
        cached = CachedEstimator(candidate.estimator, train, memory)
        name = config.estimator.name
        with study.working(name, f"{name} in {folds} folds"):
            predictions = cross_val_predict(cached, train.rows, targets, cv=folds)
        outcomes = study.outcomes(task, targets, predictions)
        answers = study.answer(config, task, candidate, train, examples, memory)
    return Contender(candidate, answers, outcomes, len(train)), examples


def _line(
    rival: selection.Rival,
    contender: Contender,
    task: Task,
    examples: Mapping[str, study.Examples],
    config: ConfigDict,
) -> dict[str, Any]:
    """Returns what metrics.json says of one candidate."""
    measured = {
        split: study.measure(task, examples[split].targets, said, config.seed)
        for split, said in contender.answers.items()
    }
    return {
        "parameters": contender.candidate.parameters,
        "train_images": contender.train_images,
        "chosen_by": rival.measures(),
        **measured,
        "fit_seconds": contender.answers["val"].seconds,
        "search_seconds": contender.candidate.search_seconds,
    }
