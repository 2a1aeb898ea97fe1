import numpy as np
import pandas as pd

from mnist3.evaluation.curves import OperatingPoint
from mnist3.evaluation.error_analysis import Confused
from mnist3.reporting import tables


def test_metrics_have_a_row_an_estimator_and_intervals_in_brackets():
    metrics = {
        "knn": {"accuracy": 0.5, "accuracy_ci95": [0.25, 0.75], "ece": None},
        "sgd": {"accuracy": 1.0},
    }
    table = tables.of_metrics(metrics, ["accuracy", "ece"], "source digits, val")
    assert table.columns.name == "source digits, val"
    assert [*table.columns] == ["accuracy", "expected calibration error"]
    assert table.loc["knn"].tolist() == ["0.5000 (0.2500-0.7500)", "-"]
    assert table.loc["sgd"].tolist() == ["1.0000", "-"]


def test_points_are_in_per_cent():
    table = tables.of_points({"as it comes": OperatingPoint(-1234.5, 0.9, 0.1234)}, "val")
    assert table.loc["as it comes"].tolist() == ["-1,234", "90.00%", "12.34%"]


def test_confusions_name_both_classes():
    table = tables.of_confusions([Confused(0, 1, 12, 0.25)], ["four", "nine"], "val")
    assert table.loc["four taken for nine"].tolist() == ["12", "25.00%"]


def test_probabilities_stand_beside_their_rows():
    rows = pd.DataFrame({"pen": ["brush", np.nan], "width": [np.nan, 0.5]}, index=[7, 3])
    table = tables.of_probabilities(rows, np.array([[0.25, 0.75], [0.9, 0.1]]), ["no", "yes"])
    assert table.index.tolist() == [7, 3]
    assert table.to_numpy().tolist() == [
        ["brush", "missing", "yes", "75.0%"],
        ["missing", 0.5, "no", "90.0%"],
    ]
    assert rows.isna().sum().sum() == 2
