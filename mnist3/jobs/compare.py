"""Compares candidates: which is best, by how much and how surely.

Each candidate learns from train. The winner is chosen on val, or by cross-validation on train; the
test examples are read for the table alone, once the winner is known. Fits come from the cache; a
network goes on where the same workdir was left. A table is a comparison by cross-validation.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from mnist3.comparisons import Compared
from mnist3.config import seeds_of
from mnist3.data.splits import Dataset
from mnist3.data.table_dataset import TableDataset
from mnist3.errors import UserError
from mnist3.evaluation import selection
from mnist3.files import write_json
from mnist3.jobs import candidates, output, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.candidates import Make
from mnist3.learners import estimator
from mnist3.reporting import comparison
from mnist3.results import Result, write_predictions
from mnist3.training.loop import NotFinite


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Compares candidates and writes the files of a run into its workdir."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        dataset: Dataset | TableDataset
        if config.kind == "table":
            dataset, folders = candidates.load_table(config), {}
            makes = candidates.of_table(config, dataset)
        else:
            makes, folders, dataset = candidates.prepare(config, folder, arguments.data_dir)
        workdir.require_same_data(folder, dataset)
        workdir.write_start(folder, config, dataset)
        results, failures = learn(makes)
        folders = {
            name: candidates.saved_in(folders[name], result)
            for name, result in results.items()
            if name in folders
        }
        with output.tracked(folder, config) as tracker:  # networks have had trackers of their own
            compared = compare(config, results, folders, failures)
            with writing(compared, folder, arguments):
                tracker.summary(compared.metrics)
                print(comparison.text(compared, folder))
    return 0


def learn(makes: Mapping[str, Make]) -> tuple[dict[str, Result], dict[str, str]]:
    """Lets candidates learn, one after the other.

    Returns:
        by name the results, and why candidates have none whose loss was not finite.

    Raises:
        UserError: names the candidate that cannot learn, or says that none came to its end.
    """
    found: dict[str, Result] = {}
    failures: dict[str, str] = {}
    with tqdm(makes.items(), desc="comparing", unit="candidate", disable=None) as bar:
        for name, make in bar:
            bar.set_postfix_str(name)
            try:
                found[name] = make()
            except NotFinite as error:
                failures[name] = str(error)
            except UserError as error:
                raise UserError(f"Candidate {name}: {error}") from error
    require_some(found, failures)
    return found, failures


def require_some(results: Mapping[str, Result], failures: Mapping[str, str]) -> None:
    """Logs which candidates are left out, and checks that there are others.

    Args:
        results: by candidate.
        failures: why others have none.

    Raises:
        UserError: if no candidate came to its end.
    """
    for name, why in failures.items():
        logging.warning("left out the candidate %s, which failed: %s", name, why)
    if not results:
        raise UserError(f"no candidate came to its end; of the last one {[*failures.values()][-1]}")


def compare(
    config: ConfigDict,
    results: Mapping[str, Result],
    folders: Mapping[str, str],
    failures: Mapping[str, str] = MappingProxyType({}),
) -> Compared:
    """Chooses the best of several candidates, then reads test with each.

    Args:
        config: of the comparison.
        results: of each candidate.
        folders: of candidates below the workdir.
        failures: why other candidates have no results.
    """
    by, folds = candidates.chosen_on(config)
    first = next(iter(results.values()))
    dependence = {"digit_indices": first.dataset.digit_indices_of("val")}
    if by == "cross_validation":
        targets = estimator.flat(first.examples["train"].targets)
        dependence = {"folds": selection.fold_of_each(targets, folds)}
    chosen = selection.compare(
        {
            name: np.stack(candidates.outcomes(result.runs, by, folds))
            for name, result in results.items()
        },
        share=first.task.outcome,
        **dependence,
    )
    tested = {name: result.with_splits("test") for name, result in results.items()}
    return Compared(config, by, tested, folders, chosen, failures)


@contextlib.contextmanager
def writing(compared: Compared, folder: str, arguments: Arguments) -> Iterator[None]:
    """Writes every file that rests on a comparison into its workdir.

    Pictures and page are there when the block has ended, the others when it begins.

    Args:
        compared: the candidates.
        folder: workdir of the run.
        arguments: with the command that made the run, and the pictures that it is to have.
    """
    name, winner = compared.selection.winner, compared.winner
    own = compared.folders.get(name, ".")
    if len(seeds_of(winner.config)) == 1:  # else each replicate has left all that it is
        os.makedirs(os.path.join(folder, own), exist_ok=True)
        if name in compared.folders:
            workdir.write_start(os.path.join(folder, own), winner.config, winner.dataset)
        winner.learned.save(os.path.join(folder, own))
    write_predictions(winner, folder)
    metrics = compared.metrics
    chosen = {
        key: metrics[key] for key in ("chosen_by", "metric", "compared_with", "subject", "tied")
    }
    every = [{"name": each.name, **each.measures()} for each in compared.selection.candidates]
    write_json(
        os.path.join(folder, "comparison.json"),
        {"winner": name, "workdir": own, **chosen, "candidates": every},
    )
    write_json(os.path.join(folder, "metrics.json"), metrics)
    drawn = output.chosen(comparison.draw_all, compared, arguments.figures)
    with output.writing_page(
        folder, lambda: comparison.page(compared), compared.config, drawn, arguments
    ):
        yield
