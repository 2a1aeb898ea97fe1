"""What metrics are called in prose, and their values as texts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

CONFIDENCE_DECIMALS = 6

METRIC_WORDS = {
    "n": "images",
    "exact_match": "exact match",
    "exact_match_ci95": "exact match, 95 % interval",
    "digit_accuracy": "digit accuracy",
    "position_accuracy": "accuracy by position",
    "macro_f1": "macro F1",
    "nll": "negative log likelihood (nats)",
    "ece": "expected calibration error",
    "aurc": "area under the risk-coverage curve",
    "coverage": "coverage by share of errors",
    "positives": "images of the positive class",
    "f1": "F1",
    "weighted_f1": "weighted F1",
    "label_f1": "F1 by label",
    "label_accuracy": "accuracy by label",
    "class_recall": "recall by class",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss (nats)",
    "mse": "mean squared error (squared grey levels)",
    "rmse": "root mean squared error (grey levels)",
    "psnr": "peak signal-to-noise ratio (dB)",
}


def metric_text(name: str) -> str:
    """Returns what a metric of metrics.json is called in prose."""
    return METRIC_WORDS.get(name, name.replace("_", " "))


def value_text(metrics: Mapping[str, Any], name: str) -> str:
    """Returns a metric of a split as text, with its 95 % interval in brackets where it has one."""
    text = plain_text(metrics.get(name))
    if metrics.get(f"{name}_ci95") is None or metrics[name] is None:
        return text
    low, high = map(plain_text, metrics[f"{name}_ci95"])
    return f"{text} ({low}-{high})"


def settings_text(parameters: Mapping[str, Any]) -> str:
    """Returns parameters of an estimator as text."""
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "its defaults"


def plain_text(value: Any) -> str:
    """Returns a value of metrics.json as text: numbers to four places, several joined by commas."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{metric_text(name)}: {plain_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain_text, value))
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def confidence_text(value: float | np.floating) -> str:
    """Returns a probability with six decimals, with more where these would make it certain.

    What is below 1 never reads as 1, what is above 0 never as 0, and a larger value never reads as
    a smaller one: 0.94, 0.99999996 and 3.2e-9 are 0.940000, 0.99999996 and 3.2e-09.

    Args:
        value: 0 to 1, or not a number.
    """
    value = float(value)
    text = f"{value:.{CONFIDENCE_DECIMALS}f}"
    if float(text) == 0 < value:
        return f"{value:.1e}"
    decimals = CONFIDENCE_DECIMALS
    while value < 1 == float(text):
        decimals += 1
        text = f"{value:.{decimals}f}"
    return text
