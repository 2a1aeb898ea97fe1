"""Which candidate is best on the images to choose by, how surely, and by how much."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

from mnist3.errors import UserError
from mnist3.evaluation.intervals import (
    percentile_interval,
    require_images,
    resample_cells,
    wilson_interval,
)

SIGNIFICANCE = 0.05


class Rival(NamedTuple):
    """A candidate beside the winner.

    Attributes:
        name: of the candidate.
        accuracy: share of the images that it got right.
        accuracy_ci95: Wilson's interval.
        behind: accuracy of the winner less its own; 0 for the winner itself.
        behind_ci95: bootstrap interval over the images, which both have in common.
        p_value: of McNemar's exact test against the winner, after Holm's correction.
        tied: whether it cannot be told apart from the winner: p_value is at least 0.05.
    """

    name: str
    accuracy: float
    accuracy_ci95: tuple[float, float]
    behind: float
    behind_ci95: tuple[float, float]
    p_value: float
    tied: bool

    def measures(self) -> dict[str, Any]:
        """Returns all but the name, under the names of metrics.json."""
        return {name: value for name, value in self._asdict().items() if name != "name"}


class Comparison(NamedTuple):
    """The result of comparing candidates.

    Attributes:
        winner: name of the candidate with the highest accuracy; of several, the first.
        rivals: all candidates, the winner first, then by accuracy.
        tied: names of the candidates that cannot be told apart from the winner, without it.
    """

    winner: str
    rivals: tuple[Rival, ...]
    tied: tuple[str, ...]


def compare(right: Mapping[str, Bool[np.ndarray, "n"]], seed: int = 0) -> Comparison:
    """Chooses the best of several candidates and tests each other one against it.

    The winner is known only from the same images, so it is tested as if every pair of candidates
    had been: Holm's correction is over all pairs.

    Args:
        right: by name, which images the candidate got right, of val or out of cross-validation;
            all candidates read the same images in the same order, and no image of test.
        seed: of the bootstrap.

    Raises:
        UserError: without a candidate or an image, or with different numbers of images.
    """
    sizes = {name: len(each) for name, each in right.items()}
    if not sizes:
        raise UserError("there is nothing to compare; name at least one candidate.")
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise UserError(
            f"the candidates did not read the same images ({counts}); give all of them the same "
            "data and the same subset."
        )
    n = require_images(next(iter(sizes.values())))
    names = sorted(right, key=lambda name: -int(right[name].sum()))
    winner = names[0]
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    p_values = dict(
        zip(pairs, holm(np.array([mcnemar(right[a], right[b]) for a, b in pairs])), strict=True)
    )
    rivals = []
    for name in names:
        p_value = float(p_values.get((winner, name), 1.0))
        hits = int(right[name].sum())
        rivals.append(
            Rival(
                name=name,
                accuracy=hits / n,
                accuracy_ci95=wilson_interval(hits, n),
                behind=(int(right[winner].sum()) - hits) / n,
                behind_ci95=difference_interval(right[winner], right[name], seed),
                p_value=p_value,
                tied=name != winner and p_value >= SIGNIFICANCE,
            )
        )
    return Comparison(winner, tuple(rivals), tuple(rival.name for rival in rivals if rival.tied))


def mcnemar(a: Bool[np.ndarray, "n"], b: Bool[np.ndarray, "n"]) -> float:
    """Returns the p-value of "a and b are equally often right" on the same images, two-sided.

    Only images that one of them alone got right count; if neither is better, each of these falls
    to either with probability 1/2, which is tested exactly.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated
    proportions or percentages, Psychometrika 12, 1947.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def holm(p_values: Float[np.ndarray, "tests"]) -> Float[np.ndarray, "tests"]:
    """Returns p-values that keep the chance of any false alarm among all tests.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * remaining), 1)
    return adjusted


def difference_interval(
    a: Bool[np.ndarray, "n"], b: Bool[np.ndarray, "n"], seed: int = 0
) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the accuracy of a less that of b, same images."""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    drawn = resample_cells(np.array([only_a, only_b, len(a) - only_a - only_b]), seed)
    return percentile_interval((only_a - only_b) / len(a), (drawn[:, 0] - drawn[:, 1]) / len(a))
