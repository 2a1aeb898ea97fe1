"""Tables for reading: texts in rows and columns, as a notebook shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from mnist3.evaluation.curves import OperatingPoint
from mnist3.evaluation.error_analysis import Confused
from mnist3.evaluation.words import metric_text, value_text
from mnist3.reporting import pages


def of_metrics(
    metrics: Mapping[str, Mapping[str, Any]], names: Sequence[str], about: str
) -> pd.DataFrame:
    """Returns a row for each set of metrics, with 95 % intervals in brackets.

    Args:
        metrics: by the row's name, as in metrics.json.
        names: of the metrics to show.
        about: what was measured, at the table's corner.
    """
    cells = [[value_text(each, name) for name in names] for each in metrics.values()]
    return _table(cells, list(metrics), [metric_text(name) for name in names], about)


def of_points(points: Mapping[str, OperatingPoint], about: str) -> pd.DataFrame:
    """Returns a row for each threshold with the precision and the recall that it gives.

    Args:
        points: by the row's name.
        about: what was measured, at the table's corner.
    """
    cells = [
        [f"{point.threshold:,.4g}", f"{point.precision:.2%}", f"{point.recall:.2%}"]
        for point in points.values()
    ]
    return _table(cells, list(points), ["threshold", "precision", "recall"], about)


def of_confusions(confused: Sequence[Confused], classes: Sequence[str], about: str) -> pd.DataFrame:
    """Returns a row for each kind of confusion.

    Args:
        confused: in the order of the rows.
        classes: names of the classes.
        about: what was measured, at the table's corner.
    """
    table = pages.confusion_table(confused, classes, about)
    cells = [cells for _, cells in table.rows]
    return _table(cells, [name for name, _ in table.rows], table.columns, table.title)


def of_probabilities(
    rows: pd.DataFrame, probabilities: Float[np.ndarray, "n classes"], classes: Sequence[str]
) -> pd.DataFrame:
    """Returns rows of a table with what is predicted for each and how probable it is."""
    best = probabilities.argmax(axis=1)
    shown = rows.astype(object).where(rows.notna(), "missing")
    shown["prediction"] = [classes[index] for index in best]
    shown["probability"] = [f"{each:.1%}" for each in probabilities.max(axis=1)]
    return shown


def _table(
    cells: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str], about: str
) -> pd.DataFrame:
    return pd.DataFrame(cells, index=list(rows), columns=pd.Index(columns, name=about))
