"""Which candidate is best on the images to choose by, how surely, and by how much.

An image is right or wrong, or it has an error: then the lowest mean wins.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

from mnist3.errors import UserError
from mnist3.evaluation.intervals import (
    bootstrap_mean_interval,
    percentile_interval,
    require_images,
    resample_cells,
    wilson_interval,
)

SIGNIFICANCE = 0.05
TESTS = {  # by metric
    "accuracy": "McNemar's exact test",
    "exact_match": "McNemar's exact test",
    "mse": "paired permutation test",
}
PERMUTATIONS = 10_000
_CHUNK = 2**22  # signs held in memory at once


class Rival(NamedTuple):
    """A candidate beside the winner.

    Attributes:
        name: of the candidate.
        metric: `accuracy` or `exact_match`, the share of the images that it got right, or `mse`,
            the mean of its squared errors.
        value: of the metric.
        value_ci95: Wilson's interval of a share, the bootstrap's of a mean.
        behind: by how much the winner's value is better; 0 for the winner itself.
        behind_ci95: bootstrap interval over the images, which both have in common.
        p_value: of the metric's test, see `TESTS`, against the winner, after Holm's correction.
        tied: whether it cannot be told apart from the winner: p_value is at least 0.05.
    """

    name: str
    metric: str
    value: float
    value_ci95: tuple[float, float]
    behind: float
    behind_ci95: tuple[float, float]
    p_value: float
    tied: bool

    def measures(self) -> dict[str, Any]:
        """Returns all but the name, under the names of metrics.json."""
        return {
            self.metric: self.value,
            f"{self.metric}_ci95": self.value_ci95,
            "behind": self.behind,
            "behind_ci95": self.behind_ci95,
            "p_value": self.p_value,
            "tied": self.tied,
        }


class Comparison(NamedTuple):
    """The result of comparing candidates.

    Attributes:
        winner: name of the candidate with the best value; of several, the first.
        rivals: all candidates, the winner first, then by their values.
        tied: names of the candidates that cannot be told apart from the winner, without it.
    """

    winner: str
    rivals: tuple[Rival, ...]
    tied: tuple[str, ...]

    @property
    def metric(self) -> str:
        """What the candidates were compared by: `accuracy`, `exact_match` or `mse`."""
        return self.rivals[0].metric


def compare(
    outcomes: Mapping[str, Bool[np.ndarray, "n"] | Float[np.ndarray, "n"]],
    seed: int = 0,
    share: str = "accuracy",
) -> Comparison:
    """Chooses the best of several candidates and tests each other one against it.

    The winner is known only from the same images, so it is tested as if every pair of candidates
    had been: Holm's correction is over all pairs.

    Args:
        outcomes: by name, which images the candidate got right, or its squared error of each, of
            val or out of cross-validation; all candidates read the same images in the same order,
            and no image of test.
        seed: of the bootstrap and of the permutations.
        share: the metric that the share of right images is: `accuracy` or `exact_match`.

    Raises:
        UserError: without a candidate or an image, or with different numbers of images.
    """
    sizes = {name: len(each) for name, each in outcomes.items()}
    if not sizes:
        raise UserError("there is nothing to compare; name at least one candidate.")
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise UserError(
            f"the candidates did not read the same images ({counts}); give all of them the same "
            "data and the same subset."
        )
    n = require_images(next(iter(sizes.values())))
    shares = all(each.dtype == bool for each in outcomes.values())
    best_first = -1 if shares else 1
    names = sorted(outcomes, key=lambda name: best_first * outcomes[name].sum(dtype=np.float64))
    winner = names[0]
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    if shares:
        measure = functools.partial(_shares, share)
        tested = np.array([mcnemar(outcomes[a], outcomes[b]) for a, b in pairs])
    else:
        measure = _errors
        differences = [outcomes[a] - outcomes[b] for a, b in pairs]
        tested = sign_flips(np.array(differences).reshape(-1, n).T, seed)
    p_values = dict(zip(pairs, holm(tested), strict=True))
    rivals = []
    for name in names:
        p_value = float(p_values.get((winner, name), 1.0))
        rivals.append(
            Rival(
                name=name,
                **measure(outcomes[name], outcomes[winner], seed),
                p_value=p_value,
                tied=name != winner and p_value >= SIGNIFICANCE,
            )
        )
    return Comparison(winner, tuple(rivals), tuple(rival.name for rival in rivals if rival.tied))


def _shares(
    metric: str, own: Bool[np.ndarray, "n"], best: Bool[np.ndarray, "n"], seed: int
) -> dict[str, Any]:
    hits, n = int(own.sum()), len(own)
    return {
        "metric": metric,
        "value": hits / n,
        "value_ci95": wilson_interval(hits, n),
        "behind": (int(best.sum()) - hits) / n,
        "behind_ci95": difference_interval(best, own, seed),
    }


def _errors(own: Float[np.ndarray, "n"], best: Float[np.ndarray, "n"], seed: int) -> dict[str, Any]:
    return {
        "metric": "mse",
        "value": float(own.mean()),
        "value_ci95": bootstrap_mean_interval(own, seed),
        "behind": float((own - best).mean()),
        "behind_ci95": bootstrap_mean_interval(own - best, seed),
    }


def mcnemar(a: Bool[np.ndarray, "n"], b: Bool[np.ndarray, "n"]) -> float:
    """Returns the p-value of "a and b are equally often right" on the same images, two-sided.

    Only images that one of them alone got right count; if neither is better, each of these falls
    to either with probability 1/2, which is tested exactly.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated
    proportions or percentages, Psychometrika 12, 1947.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def sign_flips(
    differences: Float[np.ndarray, "n pairs"], seed: int = 0
) -> Float[np.ndarray, "pairs"]:
    """Returns for each pair the p-value of "neither has the lower mean error", two-sided.

    If neither is better, the sign of an image's difference is a coin toss. The means under
    `PERMUTATIONS` tosses, the same for all pairs, show how far from 0 the real one lies, which
    counts as one of them.

    Args:
        differences: of the errors of two candidates, image by image.
        seed: of the tosses.

    Source: R. A. Fisher, The Design of Experiments, 1935, chapter 3.
    """
    n, random = len(differences), np.random.default_rng(seed)
    # Rounding must not put a sum below one that it equals.
    least = np.abs(differences.sum(axis=0)) - 1e-9 * np.abs(differences).sum(axis=0)
    as_far = np.ones(differences.shape[1])
    for start in range(0, PERMUTATIONS, chunk := max(_CHUNK // n, 1)):
        size = min(chunk, PERMUTATIONS - start)
        signs = 2.0 * random.integers(0, 2, (size, n), np.int8) - 1
        as_far += (np.abs(signs @ differences) >= least).sum(axis=0)
    return as_far / (PERMUTATIONS + 1)


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
