"""The page, the pictures and the console table of a comparison."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mnist3.comparisons import Compared
from mnist3.data.splits import HELD_OUT
from mnist3.evaluation import curves
from mnist3.evaluation.words import (
    METRIC_WORDS,
    metric_text,
    plain_text,
    settings_text,
    value_text,
)
from mnist3.reporting import pages, pictures, report
from mnist3.reporting.console import aligned
from mnist3.reporting.drawers import Drawn, Plan, plan

WHERE = {"val": "val", "cross_validation": "cross-validation on train"}
COMPARED = {
    "accuracy": "right",
    "exact_match": "every digit right",
    "mse": METRIC_WORDS["mse"],
}
DRAWN = 5  # candidates, at most, whose replicates are drawn
OF_TABLES = ("roc", "importance", "class_balance", "search")
FLATTERED = (
    "settings were chosen by the same folds, so cross-validation flatters a little; test does not"
)


def draw_all(
    compared: Compared, only: Collection[str] | None = None
) -> Iterator[tuple[str, Drawn]]:
    """Gives name and plan or figure of each picture of a comparison, in reading order.

    Args:
        compared: the candidates.
        only: names of pictures, where not all are wanted.
    """
    winner, words = compared.winner, compared.winner.dataset.example_word
    about = f"{winner.data}, {WHERE[compared.by]}"
    yield "comparison", plan("study_figures.comparison", compared.selection, about, words)
    if replicates := _replicates(compared):
        yield (
            "replicates",
            plan(
                "learning_figures.replicate_curves",
                replicates,
                winner.data,
                metric=winner.task.metrics[0],
                higher_is_better=winner.task.higher_is_better,
            ),
        )
    of_detectors = _curves(compared) if only is None else {}
    yield from of_detectors.items()
    shown = {"confusion", *(OF_TABLES if winner.dataset.columns else ())} - of_detectors.keys()
    for name, key in pictures.names(winner).items():
        wanted = name in shown and (only is None or name in only)
        if wanted and (drawn := pictures.PICTURES[key](winner)) is not None:
            yield name, drawn


def _replicates(compared: Compared) -> dict[str, Mapping[int, Sequence[dict[str, Any]]]]:
    """Returns the histories of the replicates of the best candidates, of those that have some."""
    found = {
        each.name: pictures.histories(compared.results[each.name])
        for each in compared.selection.candidates
    }
    return dict(itertools.islice(((name, each) for name, each in found.items() if each), DRAWN))


def _curves(compared: Compared) -> dict[str, Plan]:
    """Returns the curves of detectors side by side, of those that give scores."""
    scored = {}
    for candidate in compared.selection.candidates:
        result = compared.results[candidate.name]
        examples, predictions = result.shown
        found = result.task.detectors(examples.targets, predictions)
        if len(found) == 1:
            [(what, scored[candidate.name])] = found.items()
    truths = [truth for truth, _ in scored.values()]
    if not scored or not 0 < truths[0].sum() < len(truths[0]):
        return {}
    winner = compared.winner
    about = f"{what} in {winner.data}, {winner.split}"
    rocs = {name: curves.roc(*each) for name, each in scored.items()}
    precisions = {name: curves.precision_recall(*each) for name, each in scored.items()}
    return {
        "precision_recall": plan(
            "classification_figures.precision_recall_curves", precisions, about
        ),
        "roc": plan("classification_figures.roc_curves", rocs, about, winner.dataset.example_word),
    }


def page(compared: Compared) -> report.Page:
    """Returns what there is to say of a comparison."""
    metrics, winner = compared.metrics, compared.winner
    shown = next(split for split in ("test", "val") if split in metrics)
    words = winner.dataset.example_word
    return report.Page(
        title=f"Comparison on {winner.data}",
        headline=f"{metrics['model']['name']}: {winner.task.headline(metrics[shown])}",
        explanation=(
            f"{answer_text(metrics)} {winner.task.explanation(metrics[shown], shown, words)} The "
            f"winner was chosen by {WHERE[compared.by]}. {ties_text(metrics)}"
        ).strip(),
        facts=[
            *winner.task.facts(),
            *pages.data_facts(metrics["dataset"]),
            *([("mind", FLATTERED)] if _tuned(compared) else []),
            *[("without a result", each) for each in _failures(compared)],
            *pages.environment_facts(metrics["environment"]),
        ],
        table_title="Candidates, best first (in brackets 95 % intervals)",
        columns=list(metrics["candidates"]),
        rows=_rows(compared),
    )


def _rows(compared: Compared) -> list[tuple[str, list[str]]]:
    """Returns what the table of the page says of each candidate, the winner first."""
    metrics = compared.metrics
    lines, metric = metrics["candidates"], metrics["metric"]
    chosen = [line["chosen_by"] for line in lines.values()]
    measured = [
        (
            f"{split}: {metric_text(name)}",
            [value_text(line[split], name) for line in lines.values()],
        )
        for split in HELD_OUT
        if split in metrics
        for name in compared.winner.task.metrics
        if any(isinstance(line[split].get(name), float) for line in lines.values())
    ]
    of_seeds = [
        ("seeds", [", ".join(map(str, line.get("seeds", ["one"]))) for line in lines.values()]),
        ("deviation over seeds", [plain_text(each.get(f"{metric}_std")) for each in chosen]),
    ]
    return [
        (
            f"{COMPARED[metric]}, {WHERE[compared.by]}",
            [value_text(each, metric) for each in chosen],
        ),
        *(of_seeds if any("seeds" in line for line in lines.values()) else []),
        ("behind the winner", [value_text(each, "behind") for each in chosen]),
        (
            f"p-value ({metrics['compared_with']}, Holm)",
            [p_text(each["p_value"]) for each in chosen],
        ),
        *measured,
        ("training examples", [f"{line['train_examples']:,}" for line in lines.values()]),
        ("seconds of a fit", [f"{line['fit_seconds']:.1f}" for line in lines.values()]),
        ("parameters", [_parameters_text(line["parameters"]) for line in lines.values()]),
    ]


def _tuned(compared: Compared) -> bool:
    return compared.by == "cross_validation" and any(
        result.learned.search_results is not None for result in compared.results.values()
    )


def _failures(compared: Compared) -> list[str]:
    """Returns a sentence on each candidate, and each replicate, that has no result."""
    found = dict(compared.failures)
    for name, line in compared.lines.items():
        found |= {f"seed {seed} of {name}": why for seed, why in line.get("failures", {}).items()}
    return [f"{what} has no result: {why}" for what, why in found.items()]


def p_text(p_value: float) -> str:
    """Returns a p-value as text; the smallest that a float can hold is not quite 0."""
    return f"{p_value:.2g}" if p_value else "< 1e-300"


def p_words(p_value: float) -> str:
    """Returns a p-value with its name, as a sentence has it."""
    return f"p = {p_value:.2g}" if p_value >= 1e-4 else "p < 0.0001"


def _parameters_text(parameters: Mapping[str, Any] | int) -> str:
    """Returns an estimator's settings, or how many parameters a network has, as text."""
    return f"{parameters:,}" if isinstance(parameters, int) else settings_text(parameters)


def answer_text(metrics: Mapping[str, Any]) -> str:
    """Returns in a sentence whether the winner is better than the next best, and by how much.

    Args:
        metrics: of a comparison.

    Returns:
        the sentence; "" where there is one candidate alone.
    """
    lines = metrics["candidates"]
    if len(lines) == 1:
        return ""
    winner, other = itertools.islice(lines, 2)
    chosen, next_best = lines[other]["chosen_by"], ", the next best," * (len(lines) > 2)
    one, two = (len(lines[name].get("seeds", [0])) for name in (winner, other))
    fits = f"{one} and {two} seeds" if one != two else f"{one} seeds each" * (one > 1)
    low, high = map(plain_text, chosen["behind_ci95"])
    where = f"{'on' if metrics['chosen_by'] == 'val' else 'by'} {WHERE[metrics['chosen_by']]}"
    how = (
        f"{plain_text(chosen['behind'])} (interval {low} to {high}) in "
        f"{metric_text(metrics['metric'])} {where}, {fits or 'one fit each'}, "
        f"{p_words(chosen['p_value'])}"
    )
    if chosen["tied"]:
        return f"{winner} and {other}{next_best} cannot be told apart: they differ by {how}."
    return f"{winner} is better than {other}{next_best} by {how}."


def ties_text(metrics: Mapping[str, Any]) -> str:
    """Returns a sentence on who cannot be told apart from the winner."""
    tied, subject = metrics["tied"], metrics["subject"]
    how = f"{metrics['compared_with']}, 5 %, Holm's correction"
    if not tied:
        return f"Each of the others is worse, of {subject} ({how})."
    return f"Cannot be told apart from it, of {subject} ({how}): {', '.join(tied)}."


def text(compared: Compared, folder: str) -> str:
    """Returns what each candidate reaches, and where the files of the run are."""
    metrics = compared.metrics
    by, metric, lines = WHERE[compared.by], metrics["metric"], metrics["candidates"]
    headline = compared.winner.task.metrics[0]
    held_out = [f"test {metric_text(headline)}"] if "test" in metrics else []
    rows = [("  candidate", by[:16], "behind the winner", "p", *held_out, "train", "fit")]
    for name, line in lines.items():
        chosen = line["chosen_by"]
        mark = "*" if name == metrics["model"]["name"] else "=" if chosen["tied"] else " "
        rows.append(
            (
                f"{mark} {name}",
                value_text(chosen, metric),
                value_text(chosen, "behind"),
                "" if mark == "*" else p_text(chosen["p_value"]),
                *([value_text(line["test"], headline)] if held_out else []),
                f"{line['train_examples']:,}",
                f"{line['fit_seconds']:.1f} s",
            )
        )
    flattered = [FLATTERED] if _tuned(compared) else []
    return "\n".join(
        [
            f"\ntask {metrics['task']}, {pages.data_text(metrics['dataset'])}: "
            f"{COMPARED[metric]} by {by}; in brackets 95 % intervals",
            aligned(rows),
            *filter(None, [answer_text(metrics)]),
            f"* the winner. {ties_text(metrics)}",
            *flattered,
            *_failures(compared),
            f"files in {folder}",
        ]
    )
