"""What a run prints at its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from mnist3.data.splits import HELD_OUT
from mnist3.evaluation.words import metric_text, plain_text, value_text
from mnist3.reporting import pages
from mnist3.results import Replicated, Result


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Returns rows of cells as a table, its first columns flush left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ways = [str.ljust] * left + [str.rjust] * (len(widths) - left)
    lines = (
        "   ".join(way(cell, width) for way, cell, width in zip(ways, row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def result_text(result: Result, folder: str) -> str:
    """Returns what a run reached, and where its files are."""
    metrics = result.metrics
    splits = [split for split in HELD_OUT if split in metrics]
    words = result.dataset.example_word
    shown = [
        name
        for name in result.task.metrics
        if any(isinstance(metrics[split].get(name), float | dict) for split in splits)
    ]
    rows = [("", *(f"{split} ({metrics[split]['n']:,} {words})" for split in splits))]
    rows += [
        (metric_text(name), *(value_text(metrics[split], name) for split in splits))
        for name in shown
    ]
    several = f"{pages.replicates_text(result)}\n" if isinstance(result, Replicated) else ""
    trained = pages.training_text(metrics["train"])
    return (
        f"\n{result.learned.name} ({pages.parameters_text(result)}), task {result.task.name}, "
        f"{pages.data_text(metrics['dataset'])}\n{aligned(rows)}\n"
        f"{several}in brackets 95 % intervals; {trained}; files in {folder}"
    )


def pictures_text(metrics: Mapping[str, Any], images: str, folder: str) -> str:
    """Returns how well pictures were read, in all, by length and by group.

    Args:
        metrics: of `mnist3.evaluation.pictures.picture_metrics`, and of the run.
        images: folder of the pictures.
        folder: of the files that say more.
    """
    named = [("all", metrics)]
    named += [
        (f"{length} digit{'s' * (length != '1')}", row)
        for length, row in metrics["by_length"].items()
    ]
    named += [
        (f"{column} {value}", row)
        for column, rows in metrics["by"].items()
        for value, row in rows.items()
    ]
    rows = [("", "pictures", "exact match", "right length", "sure", "exact match of the sure")]
    for name, row in named:
        sure = row.get("sure") or {"share": None, "error": None}
        rows.append(
            (
                name,
                f"{row['n']:,}",
                value_text(row, "exact_match"),
                plain_text(row["right_length"]),
                plain_text(sure["share"]),
                plain_text(None if sure["error"] is None else 1 - sure["error"]),
            )
        )
    model = metrics["model"]
    unreadable = f"{metrics['unreadable']:,} could not be read; " if metrics["unreadable"] else ""
    return (
        f"\n{model['name']}, task {metrics['task']}, on the pictures in {images}\n{aligned(rows)}\n"
        f"in brackets 95 % intervals; {unreadable}files in {folder}"
    )
