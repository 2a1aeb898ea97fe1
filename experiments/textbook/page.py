"""The published figures beside ours: as a table on the terminal, and as the page of a run."""

import textwrap
from typing import Any

from experiments.textbook.published import DIFFERS, MATCH, OURS_ALONE, Row, text
from mnist3.data import sources
from mnist3.reporting import report
from mnist3.reporting.console import aligned


def summary(rows: list[Row]) -> str:
    """Returns in a sentence how many figures match."""
    count = {verdict: 0 for verdict in (MATCH, DIFFERS, OURS_ALONE)}
    for row in rows:
        count[row.verdict] += 1
    return (
        f"{count[MATCH]} published figures match, {count[DIFFERS]} differ, "
        f"{count[OURS_ALONE]} were not published;"
    )


def table(rows: list[Row]) -> str:
    """Returns the figures as text, and below the table why some differ."""
    cells = [("figure", "published", "ours", "", "seconds")]
    reasons: list[str] = []
    for row in rows:
        mark = row.verdict
        if row.reason:
            if row.reason not in reasons:
                reasons.append(row.reason)
            mark += f" [{reasons.index(row.reason) + 1}]"
        values = (text(each, row.decimals) for each in (row.published, row.ours))
        cells.append((row.name, *values, mark, f"{row.seconds:.1f}"))
    notes = [
        textwrap.fill(f"[{number}] {reason}", 100, subsequent_indent="    ")
        for number, reason in enumerate(reasons, 1)
    ]
    return "\n".join(["", aligned(cells, left=4), *([""] if notes else []), *notes])


def page(metrics: dict[str, Any], rows: list[Row]) -> report.Page:
    """Returns the page of a run.

    Args:
        metrics: what metrics.json holds.
        rows: the figures of the book beside ours.
    """
    dataset, train, test = metrics["dataset"], metrics["train"], metrics["test"]
    matching = sum(row.verdict == MATCH for row in rows)
    of_the_book = sum(row.published is not None for row in rows)
    return report.Page(
        title=f"The textbook study on {sources.title(dataset['source'])}",
        headline=f"{matching} of {of_the_book} figures match",
        explanation=(
            "Figures of A. Geron, Hands-On Machine Learning, 3rd edition, chapter 3, beside ours; "
            "where one differs, the last column says why."
        ),
        facts=[
            ("images", f"{train['n']:,} train, {test['n']:,} test"),
            ("fingerprint", dataset["fingerprint"]),
            ("seed", str(metrics["seed"])),
            ("libraries", ", ".join(f"{name} {is_}" for name, is_ in metrics["libraries"].items())),
            ("time", f"{train['seconds']:.1f} s"),
        ],
        table_title="Published and ours",
        columns=["published", "ours", "verdict", "seconds", "why"],
        rows=[
            (
                row.name,
                [
                    *(text(each, row.decimals) for each in (row.published, row.ours)),
                    row.verdict,
                    f"{row.seconds:.1f}",
                    row.reason,
                ],
            )
            for row in rows
        ],
    )
