"""Fits an estimator to a task of one digit an image, and evaluates it on val and test.

Whatever was fitted before comes from the cache: a run that was stopped goes on where it was, and
--mode=evaluate is the same again.
"""

import os
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from mnist3 import runtime
from mnist3.data import dataset as datasets
from mnist3.data.dataset import Dataset
from mnist3.evaluation import error_analysis
from mnist3.evaluation.cached import Inputs, fits_cache
from mnist3.evaluation.classification import confusion
from mnist3.jobs import fit_figures, fit_output, output, study, workdir
from mnist3.jobs.arguments import Arguments


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Fits, evaluates, and writes the files of a run into its workdir."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        study.create(config)
        logging.info("workdir: %s", folder)
        dataset = datasets.load(config.data, arguments.data_dir, runtime.cache_dir())
        output.log_dataset(dataset)
        workdir.write_config(folder, config)
        with output.tracked(folder, config) as tracker:
            metrics = fit(config, dataset, folder, arguments.command)
            tracker.summary(metrics)
    fit_output.print_table(metrics, study.create(config)[0], folder)
    return 0


def fit(
    config: ConfigDict, dataset: Dataset, folder: str, command: str, draw: bool = True
) -> dict[str, Any]:
    """Fits the config's estimator to train and writes every file that rests on that.

    The test images are looked at once, with the parameters that were chosen on train.

    Args:
        config: the whole config.
        dataset: with train, val and test.
        folder: workdir of the run.
        command: that made the run.
        draw: whether to draw figures.

    Returns:
        The content of metrics.json.
    """
    task, _ = study.create(config)
    memory = fits_cache()
    examples = study.split_examples(config, dataset, task)
    train = Inputs(examples["train"].features)
    candidate = study.choose(config, train, examples["train"].targets, memory)
    answers = study.answer(config, task, candidate, train, examples, memory)
    metrics = {
        "dataset": dataset.describe(),
        "task": task.name,
        "model": {"name": config.estimator.name, "parameters": candidate.parameters},
        "train": {
            "n": len(train),
            "seconds": answers["val"].seconds,
            "search_seconds": candidate.search_seconds,
        },
    }
    for split, said in answers.items():
        targets = examples[split].targets
        metrics[split] = study.measure(task, targets, said, config.seed)
        fit_output.write_predictions(
            os.path.join(folder, f"predictions_{split}.csv"), task, examples[split], said
        )
    if task.kind == "multiclass":  # of val, as are the figures of mistakes
        counts = confusion(examples["val"].targets, answers["val"].predictions, len(task.classes))
        metrics["val"]["most_confused"] = [
            each._asdict() for each in error_analysis.most_confused(counts)
        ]
    workdir.write_json(os.path.join(folder, "metrics.json"), metrics)
    figures = []
    if draw:
        figures = fit_figures.draw(
            config, dataset, task, examples, answers["val"], candidate.search_results, folder
        )
    fit_output.write_report(folder, config, task, metrics, figures, command)
    return metrics
