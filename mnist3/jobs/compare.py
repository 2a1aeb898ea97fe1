"""Compares experiments: which candidate is best, by how much and how surely.

Each candidate learns from train: an estimator is fitted, a model that reads numbers is trained in a
run of its own. The winner is chosen on val, or an estimator by cross-validation on train; the test
images are read for the table alone, once the winner is known. Fits come from the cache; a model
goes on where the same workdir was left.
"""

import functools
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from mnist3 import config as configs
from mnist3 import jobs, runtime, tasks, tracking, validation
from mnist3.data import dataset as datasets
from mnist3.data.dataset import Dataset
from mnist3.data.splits import HELD_OUT
from mnist3.errors import UserError
from mnist3.evaluation import selection
from mnist3.jobs import compare_output, contenders, experiments, output, study, train, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.contenders import Contender
from mnist3.tasks import Task

FREE = ("data.train_limit", "data.shifted_copies", "data.train_examples")  # where val chooses


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Compares the config's experiments and writes the files of a run into its workdir."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    candidates = resolve(config)
    task = tasks.create(next(iter(candidates.values())).task)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        loaded = load(candidates, arguments.data_dir)
        entries = enter(config, candidates, loaded, folder)
        workdir.write_config(folder, config)
    entered = learn(entries)
    with output.tracked(folder, config) as tracker:  # models have had trackers of their own
        metrics = compare(config, entered, task, folder, arguments.command)
        tracker.summary(metrics)
    compare_output.print_table(metrics, task, folder)
    return 0


def resolve(config: ConfigDict) -> dict[str, ConfigDict]:
    """Returns the configs of the experiments to compare, by a name that tells them apart.

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
    found = {}
    for text in texts:
        each = _resolve_one(text, config.compare.by)
        first = next(iter(found.values()), each)
        if differing := _difference(first, each, config.compare.by):
            raise UserError(
                f"{texts[0]!r} and {text!r} differ in {differing}; give all of "
                "config.compare.experiments the same data and task."
            )
        name = name_of(each, first)
        if name in found:
            raise UserError(
                f"config.compare.experiments has {name!r} twice; leave one of them out."
            )
        found[name] = each
    return found


def _resolve_one(text: str, by: str) -> ConfigDict:
    """Returns the config of an experiment that can be compared."""
    this = f"config.compare.experiments has {text!r}"
    try:
        config = experiments.load(text)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{this}, which cannot be read: {reason}") from error
    validation.validate(config)
    if config.compare.experiments or jobs.job_of("train", config) not in ("fit", "train"):
        raise UserError(
            f"{this}, which is neither of numbers nor of one digit; name experiments such as those "
            "of experiments/quickstart.py or experiments/classify.py."
        )
    if config.task.name != "number":
        study.create(config)
    elif by == "cross_validation":
        raise UserError(
            f"{this}, whose models are trained once and not in folds; set config.compare.by=val."
        )
    if config.data.shifted_copies and by == "cross_validation":
        raise UserError(
            f"{this}, whose shifted copies of one image would be in several folds; leave them out "
            "or set config.compare.by=val."
        )
    return config


def name_of(config: ConfigDict, first: ConfigDict) -> str:
    """Returns what tells an experiment apart from the others that it is compared with.

    Of one digit that is the estimator with what was changed of its own settings; of numbers it is
    the model with what differs from the first experiment.
    """
    if config.task.name == "number":
        before = dict(configs.fields(first))
        changed = {
            name: value
            for name, value in configs.fields(config)
            if name.startswith(("seed", *FREE, *study.OF_NUMBERS)) and value != before[name]
        }
        changed.pop("model.name", None)
        return " ".join([config.model.name, *_settings(changed)])
    words = [config.estimator.name, *_settings(study.changed_parameters(config))]
    words += ["scaled"] * config.estimator.scale
    words += ["shifted copies"] * config.data.shifted_copies
    words += [f"{config.search.method} search"] * (config.search.method != "none")
    return " ".join(words)


def _settings(changed: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in changed.items()]


def _difference(one: ConfigDict, other: ConfigDict, by: str) -> str | None:
    """Returns the first field of task or data that differs, if it matters."""
    values = dict(configs.fields(other))
    for section in ("task.", "data."):
        for name, value in configs.fields(one):
            free = name in FREE and by == "val"
            if name.startswith(section) and value != values[name] and not free:
                return f"config.{name} ({value!r} and {values[name]!r})"
    return None


def load(candidates: Mapping[str, ConfigDict], data_dir: str | None) -> dict[int, Dataset]:
    """Loads the dataset for each config.data.train_limit of the candidates."""
    loaded = {}
    for each in candidates.values():
        limit = each.data.train_limit
        if limit not in loaded:
            loaded[limit] = datasets.load(each.data, data_dir, runtime.cache_dir())
            output.log_dataset(loaded[limit])
    return loaded


def enter(
    config: ConfigDict,
    candidates: Mapping[str, ConfigDict],
    loaded: Mapping[int, Dataset],
    folder: str,
) -> dict[str, Callable[[], Contender]]:
    """Returns by name what makes each candidate learn.

    Args:
        config: of the comparison.
        candidates: their configs by name.
        loaded: the dataset for each config.data.train_limit.
        folder: workdir of the comparison; models are trained below it.

    Raises:
        UserError: if the data lack what training needs, or the devices cannot share a batch.
    """
    entries = {}
    for place, (name, each) in enumerate(candidates.items(), start=1):
        dataset = loaded[each.data.train_limit]
        if each.task.name == "number":
            each.wandb = tracking.part_of(config.wandb, os.path.basename(os.path.abspath(folder)))
            own = os.path.join(folder, "candidates", f"{place}-{_file_name(name)}")
            parts = train.prepare(each, dataset)
            entries[name] = functools.partial(contenders.train, parts, dataset, own)
        else:
            entries[name] = functools.partial(contenders.fit, each, dataset, config)
    return entries


def _file_name(name: str) -> str:
    """Returns the beginning of a candidate's name without what file systems and shells mind."""
    return re.sub(r"[^\w.=-]+", "-", name)[:80].strip("-")


def learn(entries: Mapping[str, Callable[[], Contender]]) -> dict[str, Contender]:
    """Lets candidates learn, one after the other.

    Raises:
        UserError: names the candidate that cannot.
    """
    entered = {}
    with tqdm(entries.items(), desc="comparing", unit="candidate", disable=None) as bar:
        for name, entry in bar:
            bar.set_postfix_str(name)
            try:
                entered[name] = entry()
            except UserError as error:
                raise UserError(f"Candidate {name}: {error}") from error
    return entered


def compare(
    config: ConfigDict,
    entered: Mapping[str, Contender],
    task: Task,
    folder: str,
    command: str,
) -> dict[str, Any]:
    """Compares candidates and writes every file that rests on that.

    Args:
        config: the whole config.
        entered: by name, the candidates that have learned.
        task: of all of them.
        folder: workdir of the run.
        command: that made the run.

    Returns:
        The content of metrics.json.
    """
    comparison = selection.compare(
        {name: each.outcomes for name, each in entered.items()},
        share="exact_match" if task.kind == "number" else "accuracy",
        **next(iter(entered.values())).dependence,
    )
    lines = {
        each.name: {"chosen_by": each.measures(), **entered[each.name].result()}
        for each in comparison.candidates
    }
    winner, best = entered[comparison.winner], lines[comparison.winner]
    choice = {
        "chosen_by": config.compare.by,
        "metric": comparison.metric,
        "tied": list(comparison.tied),
        "compared_with": comparison.test,
        "subject": comparison.subject,
    }
    metrics = {
        "dataset": winner.dataset.describe(),
        "task": task.name,
        "model": {"name": comparison.winner, "parameters": best["parameters"]},
        "train": {"n": best["train_images"], "seconds": best["fit_seconds"]},
        **{split: best[split] for split in HELD_OUT if split in best},
        **choice,
        "estimators": lines,
    }
    winner.write_predictions(folder)
    compared = [{"name": each.name, **each.measures()} for each in comparison.candidates]
    workdir.write_json(
        os.path.join(folder, "comparison.json"),
        {"winner": comparison.winner, **choice, "candidates": compared},
    )
    workdir.write_json(os.path.join(folder, "metrics.json"), metrics)
    data = study.data_text(task, metrics["dataset"]["source"])
    figures = compare_output.draw_figures(
        task, comparison, entered, data, config.compare.by, folder
    )
    compare_output.write_report(folder, config, task, metrics, figures, command)
    return metrics
