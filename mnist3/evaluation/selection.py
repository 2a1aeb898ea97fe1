"""Which candidate is best on the images to choose by, how surely, and by how much.

An image is right or wrong, or it has an error: then the lowest mean wins. A candidate has one fit
or several replicates, which differ in their seed alone: it is as good as their mean, and how much
they differ counts in how surely it is better.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mnist3.errors import UserError
from mnist3.evaluation import paired
from mnist3.evaluation.clusters import Sharing, effective_images, sharing
from mnist3.evaluation.intervals import (
    effective_share_interval,
    require_images,
    wilson_interval,
)

SIGNIFICANCE = 0.05
MCNEMAR = "McNemar's exact test"

Outcomes = (
    Bool[np.ndarray, "n"]
    | Bool[np.ndarray, "seeds n"]
    | Float[np.ndarray, "n"]
    | Float[np.ndarray, "seeds n"]
)


class Candidate(NamedTuple):
    """A candidate beside the winner.

    Attributes:
        name: of the candidate.
        metric: `accuracy` or `exact_match`, the share of the images that it got right, or `mse`,
            the mean of its squared errors.
        value: of the metric; the mean over replicates.
        value_ci95: of a single fit Wilson's interval of a share or Student's of a mean; else with
            what replicates, folds or shared digit images add.
        replicates: value of each replicate.
        behind: by how much the winner's value is better; 0 for the winner itself.
        behind_ci95: interval of that. It is as wide as Holm's correction asks for among all pairs,
            so that it excludes 0 exactly where the candidate is not tied.
        p_value: of the comparison's test against the winner, after Holm's correction.
        tied: whether it cannot be told apart from the winner: p_value is at least 0.05.
    """

    name: str
    metric: str
    value: float
    value_ci95: tuple[float, float]
    replicates: tuple[float, ...]
    behind: float
    behind_ci95: tuple[float, float]
    p_value: float
    tied: bool

    def measures(self) -> dict[str, Any]:
        """Returns all but the name, under the names of metrics.json."""
        several = {}
        if len(self.replicates) > 1:
            several = {
                f"{self.metric}_std": float(np.std(self.replicates, ddof=1)),
                f"{self.metric}_replicates": list(self.replicates),
            }
        return {
            self.metric: self.value,
            f"{self.metric}_ci95": self.value_ci95,
            **several,
            "behind": self.behind,
            "behind_ci95": self.behind_ci95,
            "p_value": self.p_value,
            "tied": self.tied,
        }


class Comparison(NamedTuple):
    """The result of comparing candidates.

    Attributes:
        winner: name of the candidate with the best value; of several, the first.
        candidates: all of them, the winner first, then by their values.
        tied: names of the candidates that cannot be told apart from the winner, without it.
        test: what their p-values are of, in words.
        subject: what was compared: `this fit` where each candidate was fitted once, so that
            another seed or other training images may turn the order round, else `this model`.
    """

    winner: str
    candidates: tuple[Candidate, ...]
    tied: tuple[str, ...]
    test: str
    subject: str

    @property
    def metric(self) -> str:
        """What the candidates were compared by: `accuracy`, `exact_match` or `mse`."""
        return self.candidates[0].metric


class _Images(NamedTuple):
    """What is known of the images that all candidates read."""

    n: int
    share: str | None  # the metric that the share of right images is; None of errors
    sharing: Sharing | None
    folds: Int[np.ndarray, "n"] | None


def compare(
    outcomes: Mapping[str, Outcomes],
    share: str = "accuracy",
    folds: Int[np.ndarray, "n"] | None = None,
    digit_indices: Int[np.ndarray, "n K"] | None = None,
) -> Comparison:
    """Chooses the best of several candidates and tests each other one against it.

    The winner is known only from the same images, so it is tested as if every pair of candidates
    had been: Holm's correction is over all pairs.

    Where each candidate has one fit and images are right or wrong and have nothing in common, the
    test is McNemar's. Else it is a paired t-test whose variance has a part of the images and a part
    of the replicates of either candidate, see `mnist3.evaluation.paired`.

    Args:
        outcomes: by name, which images the candidate got right, or its squared error of each, of
            val or out of cross-validation, and where it has replicates of each of them; all
            candidates read the same images in the same order, and no image of test. Candidates
            may have different numbers of replicates; one that draws nothing at random has one.
        share: the metric that the share of right images is: `accuracy` or `exact_match`.
        folds: out of cross-validation, the fold that holds each image out.
        digit_indices: of composed number images, where the digit images on them stand in their
            source; those that share one do not count as independent.

    Raises:
        UserError: without a candidate or an image, with different numbers of images, or where there
            are too few to test by.
    """
    if not outcomes:
        raise UserError("there is nothing to compare; name at least one candidate.")
    shares = all(each.dtype == bool for each in outcomes.values())
    replicated = {name: np.atleast_2d(each).astype(np.float64) for name, each in outcomes.items()}
    sizes = {name: each.shape[1] for name, each in replicated.items()}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise UserError(
            f"the candidates did not read the same images ({counts}); give all of them the same "
            "data and the same subset."
        )
    n = require_images(next(iter(sizes.values())))
    images = _Images(
        n,
        share if shares else None,
        None if digit_indices is None else sharing(digit_indices),
        folds,
    )
    once = all(len(each) == 1 for each in replicated.values())
    exact = shares and once and folds is None and digit_indices is None
    if n == 1 and len(outcomes) > 1 and not exact:
        raise UserError("one image cannot tell candidates apart; compare them on more images.")
    best_first = -1 if shares else 1
    names = sorted(replicated, key=lambda name: best_first * replicated[name].mean())
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    differences: Sequence[paired.Discordant | paired.Estimate]
    if exact:
        fits = {name: each[0].astype(bool) for name, each in replicated.items()}
        differences = [paired.discordant(fits[a], fits[b]) for a, b in pairs]
    else:
        differences = paired.differences(replicated, pairs, shares, images.sharing, folds)
    raw = np.array([each.p_value() for each in differences])
    adjusted, tests = holm(raw)
    tested = dict(zip(pairs, zip(differences, adjusted, tests, strict=True), strict=True))
    candidates = []
    for name in names:
        behind, ends, p_value = 0.0, (0.0, 0.0), 1.0
        if name != names[0]:
            difference, p_value, count = tested[names[0], name]
            behind = difference.value
            ends = difference.interval(1 - SIGNIFICANCE / count)
        candidates.append(
            Candidate(
                name=name,
                metric=images.share or "mse",
                value=float(replicated[name].mean()),
                value_ci95=_interval(replicated[name], images),
                replicates=tuple(replicated[name].mean(axis=1).tolist()),
                behind=behind,
                behind_ci95=ends,
                p_value=float(p_value),
                tied=name != names[0] and bool(p_value >= SIGNIFICANCE),
            )
        )
    return Comparison(
        names[0],
        tuple(candidates),
        tuple(each.name for each in candidates if each.tied),
        MCNEMAR if exact else _test_text(images, once),
        "this fit" if once and folds is None else "this model",
    )


def _test_text(images: _Images, once: bool) -> str:
    """Returns the words for a t-test by what its variance is made of."""
    over = ["replicates"] * (not once)
    if images.folds is not None:
        return f"paired t-test over {' and '.join([*over, 'folds'])} (Nadeau and Bengio's variance)"
    over.append("images" if images.sharing is None else "digit images")
    return f"paired t-test over {' and '.join(over)}"


def _interval(outcomes: Float[np.ndarray, "seeds n"], images: _Images) -> tuple[float, float]:
    """Returns the 95 % interval of a candidate's own value."""
    value = float(outcomes.mean())
    plain = len(outcomes) == 1 and images.folds is None and images.sharing is None
    if plain and images.share:
        return wilson_interval(int(outcomes.sum()), images.n)
    if images.n == 1:
        return value, value
    [variance], [degrees] = paired.image_variance(
        outcomes.mean(axis=0)[:, None], images.sharing, images.folds
    )
    if images.share and images.sharing is not None:  # as `cluster_interval` has it
        degrees = max(images.sharing.clusters - 1, 1)
    estimate = paired.combined(
        value, float(variance), float(degrees), [paired.replicates_of(outcomes)]
    )
    if not images.share:
        return estimate.interval(0.95)
    if images.sharing is not None:
        effective = effective_images(value, estimate.variance, images.n, images.sharing)
    else:
        effective = float(images.n)
        if estimate.variance > 0:
            effective = value * (1 - value) / estimate.variance
    return effective_share_interval(value, effective, estimate.degrees)


def interval(
    outcomes: Outcomes, digit_indices: Int[np.ndarray, "n K"] | None = None
) -> tuple[float, float]:
    """Returns the 95 % interval of a candidate's share of right images, or mean error.

    It is of another seed and of other images, where there are replicates.

    Args:
        outcomes: as `compare` takes those of one candidate.
        digit_indices: as there.
    """
    shared = None if digit_indices is None else sharing(digit_indices)
    share = "accuracy" if outcomes.dtype == bool else None
    replicated = np.atleast_2d(outcomes).astype(np.float64)
    return _interval(replicated, _Images(replicated.shape[1], share, shared, None))


def holm(
    p_values: Float[np.ndarray, "tests"],
) -> tuple[Float[np.ndarray, "tests"], Float[np.ndarray, "tests"]]:
    """Returns p-values that keep the chance of any false alarm among all tests, and their factors.

    An adjusted p-value is the p-value times its factor, at most 1. So a test rejects at 5 % after
    the correction exactly where it does at 5 % over the factor without it. Factors are from 1 to
    the number of tests.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    factors = np.empty(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(p_values[order] * remaining)
    factors[order] = remaining
    # One that waits for a smaller p-value's larger product has the factor that leads there.
    factors = np.where(p_values > 0, adjusted / np.where(p_values > 0, p_values, 1), factors)
    factors = np.clip(factors, 1, len(p_values))
    return np.minimum(adjusted, 1), factors


def fold_of_each(targets: Shaped[np.ndarray, "n *outputs"], folds: int) -> Int[np.ndarray, "n"]:
    """Returns which fold holds each image out in scikit-learn's cross-validation with `cv=folds`.

    Args:
        targets: of each image.
        folds: unshuffled, and stratified where the targets are classes.
    """
    from sklearn.model_selection import check_cv  # scikit-learn takes seconds to import

    found = np.empty(len(targets), np.int64)
    splits = check_cv(folds, targets, classifier=True).split(np.empty((len(targets), 0)), targets)
    for fold, (_, held_out) in enumerate(splits):
        found[held_out] = fold
    return found
