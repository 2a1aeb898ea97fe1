"""The chapter's figures as they were published, and how ours compare with them.

Source: A. Geron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 3rd edition,
O'Reilly 2022, chapter 3 and the notebook that goes with it. All are of MNIST, its 60,000 training
images in their order, with seed 42.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

Value = int | float | str | tuple | dict
MATCH, DIFFERS, OURS_ALONE = "match", "differs", "not published"
PUBLISHED_WITH = "1.0 to 1.2"  # scikit-learn
BOOK_SEED, BOOK_IMAGES = 42, 60_000

_OBJECTIVE = (
    "since scikit-learn 1.8 SGD stops when loss and penalty together no longer fall, before it "
    "was the loss alone (its release notes, pull request 31856); with 1.7.2 the folds of plain "
    "pixels are the published ones"
)


class Published(NamedTuple):
    """A figure of the book.

    Attributes:
        value: what was printed; None where the book prints nothing.
        decimals: how many of its decimals count; ours may be off by half a unit of the last one.
        newer: what a newer version of the libraries gives; None if the same.
        reason: why that differs.
    """

    value: Value | None
    decimals: int = 0
    newer: Value | None = None
    reason: str = ""


class Row(NamedTuple):
    """A figure of the book beside ours.

    Attributes:
        name: of the figure.
        published: of the book; None where it has none.
        ours: what was measured here.
        verdict: `MATCH`, `DIFFERS` or `OURS_ALONE`.
        reason: why it differs; empty if it does not.
        decimals: to how many the two are compared.
        seconds: that the figure's step took, with all of its figures.
    """

    name: str
    published: Value | None
    ours: Value
    verdict: str
    reason: str
    decimals: int
    seconds: float


def agree(one: Value, other: Value, decimals: int) -> bool:
    """Tells whether two values are the same, numbers when rounded to so many decimals."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(
            agree(*pair, decimals) for pair in zip(one, other, strict=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            agree(one[name], other[name], decimals) for name in one
        )
    if isinstance(one, int | float) and isinstance(other, int | float):
        return bool(abs(one - other) <= 0.500001 * 10.0**-decimals)
    return one == other


def compare(
    figures: Mapping[str, Value],
    seconds: float,
    version: str,
    other_data: str = "",
    published: Mapping[str, Published] | None = None,
) -> Iterator[Row]:
    """Yields a row for each figure of a step of the study.

    Args:
        figures: ours, by name.
        seconds: that the step took.
        version: of the installed scikit-learn.
        other_data: what differs from the data and the seed of the book, if something does.
        published: the figures of the book, by name; those of `PUBLISHED` if not given.
    """
    known = PUBLISHED if published is None else published
    for name, ours in figures.items():
        figure = known.get(name, Published(None, 6))
        if figure.value is None:
            verdict, reason = OURS_ALONE, ""
        elif agree(figure.value, ours, figure.decimals):
            verdict, reason = MATCH, ""
        elif other_data:
            verdict, reason = DIFFERS, other_data
        elif figure.newer is not None and agree(figure.newer, ours, figure.decimals):
            verdict, reason = DIFFERS, figure.reason
        else:
            hint = f"; what is known of it: {figure.reason}" if figure.reason else ""
            verdict, reason = (
                DIFFERS,
                f"published with scikit-learn {PUBLISHED_WITH}, here is {version}{hint}",
            )
        yield Row(name, figure.value, ours, verdict, reason, figure.decimals, seconds)


def plain(value: Any) -> Value:
    """Returns arrays and NumPy's numbers as tuples and Python's numbers."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def text(value: Value | None, decimals: int, most: int = 3) -> str:
    """Returns a value in a few words: the first few of a long tuple, numbers rounded."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={text(item, decimals)}" for name, item in value.items())
    if isinstance(value, tuple):
        shown = " ".join(text(item, decimals) for item in value[:most])
        if value and isinstance(value[0], tuple):
            shown = " / ".join(text(item, decimals) for item in value[:most])
        return shown if len(value) <= most else f"{shown} ... ({len(value)})"
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    return str(value)


PUBLISHED = {
    "dummy: accuracy of 3 folds": Published((0.90965, 0.90965, 0.90965), 5),
    "SGD: accuracy of 3 folds": Published((0.95035, 0.96035, 0.9604), 5),
    "SGD: score of the first image": Published(2164.2203, 4),
    "SGD: confusion": Published(((53892, 687), (1891, 3530)), 0),
    "SGD: precision": Published(0.837088, 6),
    "SGD: recall": Published(0.651171, 6),
    "SGD: F1": Published(0.732517, 6),
    "SGD: threshold for 90 % precision": Published(3370.0195, 4),
    "SGD: precision at this threshold": Published(0.900035, 6),
    "SGD: recall at this threshold": Published(0.479985, 6),
    "SGD: area under the ROC curve": Published(0.960494, 6),
    "forest: probabilities of the first two images": Published(((0.11, 0.89), (0.99, 0.01)), 2),
    "forest: 5s among probabilities 0.5 to 0.6": Published(0.940, 3),
    "forest: area under the ROC curve": Published(0.998344, 6),
    # The book has these of probabilities above 0.5, its notebook of those of at least 0.5.
    "forest, above 0.5: F1": Published(0.924228, 6),
    "forest, above 0.5: precision": Published(0.991, 3),
    "forest, above 0.5: recall": Published(0.866, 3),
    "forest, from 0.5: F1": Published(0.927451, 6),
    "forest, from 0.5: precision": Published(0.990, 3),
    "forest, from 0.5: recall": Published(0.873, 3),
    "SVC: class of the first image": Published(5),
    "SVC: scores of the 10 classes": Published(
        (3.79, 0.73, 6.06, 8.3, -0.29, 9.3, 1.75, 2.77, 7.21, 4.82), 2
    ),
    "SVC one-vs-one: scores of the 45 pairs": Published(
        (
            *(0.11, -0.21, -0.97, 0.51, -1.01, 0.19, 0.09, -0.31, -0.04),
            *(-0.45, -1.28, 0.25, -1.01, -0.13, -0.32, -0.9, -0.36),
            *(-0.93, 0.79, -1.0, 0.45, 0.24, -0.24, 0.25),
            *(1.54, -0.77, 1.11, 1.13, 1.04, 1.2),
            *(-1.42, -0.53, -0.45, -0.99, -0.95),
            *(1.21, 1.0, 1.0, 1.08),
            *(-0.02, -0.67, -0.14),
            *(-0.3, -0.13),
            0.25,
        ),
        2,
    ),
    "SVC one-vs-rest: class of the first image": Published(5),
    "SVC one-vs-rest: classifiers": Published(10),
    "SGD, 10 classes: class of the first image": Published(3),
    "SGD, 10 classes: scores of the first image": Published(
        (-31893, -34420, -9531, 1824, -22320, -1386, -26189, -16148, -4604, -12051),
        0,
        (-31893, -19048, -9531, 1824, -22320, -1386, -26189, -16148, -4604, -12051),
        _OBJECTIVE,
    ),
    "SGD, 10 classes: accuracy of 3 folds": Published(
        (0.87365, 0.85835, 0.8689), 5, (0.87745, 0.85835, 0.8698), _OBJECTIVE
    ),
    "SGD, 10 classes, scaled: accuracy of 3 folds": Published(
        (0.8983, 0.891, 0.9018), 5, (0.89835, 0.8902, 0.90095), _OBJECTIVE
    ),
    "SGD, 10 classes, scaled: 5s found": Published(0.82, 2),
    "SGD, 10 classes, scaled: 5s taken for 8s": Published(0.10, 2),
    "KNN, large and odd: labels of the first image": Published((0, 1)),
    "KNN, large and odd: macro F1": Published(0.976410265561, 12),
    "chain of SVCs, large and odd: labels of the first image": Published((0, 1)),
    "KNN: test accuracy": Published(0.9688, 4),
    "KNN grid: best parameters": Published({"n_neighbors": 4, "weights": "distance"}),
    "KNN grid: best score": Published(0.9442, 12),
    "KNN tuned: test accuracy": Published(0.9714, 4),
    "KNN tuned, shifted copies: test accuracy": Published(0.9763, 4),
}
