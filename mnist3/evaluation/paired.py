"""Tests of whether one of two candidates is better, with intervals of the difference that agree.

An interval of level 1 - a excludes 0 exactly where the p-value is below a.

Of one fit each and independent images that are right or wrong, McNemar's test is exact. In general
the difference of the means over replicates and images is held against its standard error. That
has a part of the images and one of each candidate's replicates, which are drawn anew together: a
replicate's luck is the same on all images, and an image's difficulty the same for all replicates.
The bootstrap over replicates is no way out: of three it draws deviations that are too small by a
factor of sqrt(2/3), and permutations of three against three are too few to reach 5 %.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # whose parts come when they are used: `special` takes a tenth of a second
from jaxtyping import Bool, Float, Int

from mnist3.evaluation.clusters import Sharing, effective_clusters, variance_of_means

_QUANTILES = (np.arange(1000) + 0.5) / 1000  # of the integral in McNemar's interval


class Replicates(NamedTuple):
    """What a candidate's replicates add to the uncertainty of its mean.

    Attributes:
        variance: of the mean over replicates, of whatever source; 0 of a single replicate.
        chance: the part of it that images drawn anew would have too, which theirs already holds.
        degrees: of freedom, one less than there are replicates.
    """

    variance: float
    chance: float
    degrees: int


class Estimate(NamedTuple):
    """A mean or a difference of means.

    Attributes:
        value: of it.
        variance: of the value, over new images and new replicates.
        degrees: of freedom of the variance, of Student's t distribution.
    """

    value: float
    variance: float
    degrees: float

    def p_value(self) -> float:
        """Returns the two-sided p-value of "the true value is 0"."""
        if self.variance == 0:
            return float(self.value == 0)
        return float(2 * scipy.special.stdtr(self.degrees, -abs(self.value) / self.variance**0.5))

    def interval(self, level: float) -> tuple[float, float]:
        """Returns the interval of the true value."""
        half_width = -scipy.special.stdtrit(self.degrees, (1 - level) / 2) * self.variance**0.5
        return float(self.value - half_width), float(self.value + half_width)


class Discordant(NamedTuple):
    """By how much one fit, a, has more images right than another, b.

    Attributes:
        only_a: images that a alone got right.
        only_b: images that b alone got right.
        n: images.
    """

    only_a: int
    only_b: int
    n: int

    @property
    def value(self) -> float:
        """The share that a got right less that of b."""
        return (self.only_a - self.only_b) / self.n

    def p_value(self) -> float:
        """Returns McNemar's p-value of "the true value is 0"."""
        return mcnemar(self.only_a, self.only_b)

    def interval(self, level: float) -> tuple[float, float]:
        """Returns the interval of the true value."""
        return mcnemar_interval(self.only_a, self.only_b, self.n, level)


def discordant(a: Bool[np.ndarray, "n"], b: Bool[np.ndarray, "n"]) -> Discordant:
    """Returns by how much one fit has more images right than another."""
    return Discordant(int((a & ~b).sum()), int((b & ~a).sum()), len(a))


def differences(
    outcomes: Mapping[str, Float[np.ndarray, "_ n"]],
    pairs: Sequence[tuple[str, str]],
    shares: bool,
    shared: Sharing | None = None,
    folds: Int[np.ndarray, "n"] | None = None,
) -> list[Estimate]:
    """Returns for each pair of candidates by how much the first is better.

    Of shares each pair gets two more images in its variance, of which either gets one: without them
    a handful of images that by chance all fall to one of two equal candidates would seem to be
    without variance. Source: D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data, Journal of Educational and Behavioral
    Statistics 37, 2012.

    Args:
        outcomes: by name, of each replicate [seeds, n]: 1 for a right image, else 0; or errors.
        pairs: of names.
        shares: whether the higher mean is better, of right images, or the lower, of errors.
        shared: which number images share digit images, where they do.
        folds: of a cross-validation, the fold that holds each image out.
    """
    if not pairs:
        return []
    means = {name: each.mean(axis=0) for name, each in outcomes.items()}
    better = (1 if shares else -1) * np.stack([means[a] - means[b] for a, b in pairs], axis=1)
    variances, degrees = image_variance(better, shared, folds)
    variances = variances + (2 / len(better) ** 2 if shares else 0)
    parts = {name: replicates_of(each) for name, each in outcomes.items()}
    return [
        combined(float(value), float(variance), float(degree), [parts[a], parts[b]])
        for (a, b), value, variance, degree in zip(
            pairs, better.mean(axis=0), variances, degrees, strict=True
        )
    ]


def replicates_of(outcomes: Float[np.ndarray, "seeds n"]) -> Replicates:
    """Returns what the replicates of a candidate add, by the analysis of variance."""
    seeds, n = outcomes.shape
    if seeds == 1 or n == 1:
        return Replicates(0.0, 0.0, 0)
    means = outcomes.mean(axis=1)
    rest = outcomes - means[:, None] - outcomes.mean(axis=0) + means.mean()
    chance = (rest**2).sum() / ((seeds - 1) * (n - 1) * seeds * n)
    return Replicates(float(means.var(ddof=1) / seeds), float(chance), seeds - 1)


def image_variance(
    values: Float[np.ndarray, "n metrics"],
    shared: Sharing | None = None,
    folds: Int[np.ndarray, "n"] | None = None,
) -> tuple[Float[np.ndarray, "metrics"], Float[np.ndarray, "metrics"]]:
    """Returns the variance of means over new images, and its degrees of freedom.

    Args:
        values: of each image and metric, n > 1.
        shared: which number images share digit images, where they do.
        folds: of a cross-validation, the fold that holds each image out. The fits of k folds share
            most of their training images, so the variance of the folds' means counts by
            1 / k + 1 / (k - 1) instead of 1 / k; it is not let below that of independent images.

    Source: C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52,
    2003, section 3.
    """
    n, metrics = values.shape
    independent = values.var(axis=0, ddof=1) / n
    if folds is not None:
        found = np.unique(folds)
        means = np.stack([values[folds == fold].mean(axis=0) for fold in found])
        k = len(found)
        corrected = (1 / k + 1 / (k - 1)) * means.var(axis=0, ddof=1)
        return np.maximum(corrected, independent), np.full(metrics, k - 1.0)
    if shared is not None:
        return variance_of_means(values, shared), effective_clusters(values, shared)
    return independent, np.full(metrics, n - 1.0)


def combined(
    value: float, of_images: float, image_degrees: float, of_replicates: list[Replicates]
) -> Estimate:
    """Returns an estimate whose variance has a part of the images and parts of replicates.

    What is left to chance is in either part and counted once; estimated, that must not take the
    whole below one of its parts. Degrees of freedom: F. E. Satterthwaite, An approximate
    distribution of estimates of variance components, Biometrics Bulletin 2, 1946.
    """
    drawn = sum(part.variance for part in of_replicates)
    chance = sum(part.chance for part in of_replicates)
    variance = max(of_images, drawn, of_images + drawn - chance)
    parts = [(of_images, image_degrees)]
    parts += [(part.variance, part.degrees) for part in of_replicates if part.degrees]
    spread = sum(part**2 / degrees for part, degrees in parts)
    # Rounding must not take the degrees of freedom of one part below its own.
    least = min(degrees for _, degrees in parts)
    return Estimate(value, variance, float(max(variance**2 / spread if spread else 0, least)))


def mcnemar(only_a: int, only_b: int) -> float:
    """Returns the p-value of "a and b are equally often right" on the same images, two-sided.

    Only images that one of them alone got right count; if neither is better, each of these falls
    to either with probability 1/2, which is tested exactly.

    Args:
        only_a: images that a alone got right.
        only_b: images that b alone got right.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated
    proportions or percentages, Psychometrika 12, 1947.
    """
    from scipy import stats  # which takes a while to import

    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def mcnemar_interval(only_a: int, only_b: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Returns the interval of the share that a gets right less that of b, n images.

    It excludes 0 exactly where `mcnemar` rejects. The difference is the share d of images on which
    they differ, times 2 p - 1, p being the share of these that a gets right. The exact intervals of
    d and p, taken as distributions, give one of the product.

    Source: M. P. Fay and K. Lumbard, Confidence intervals for difference in proportions for matched
    pairs compatible with exact McNemar's or sign tests, Statistics in Medicine 40, 2021.
    """
    tail = (1 - level) / 2
    low = _mcnemar_low(only_a, only_b, n, tail)
    high = -_mcnemar_low(only_b, only_a, n, tail)
    return low, high


def _mcnemar_low(only_a: int, only_b: int, n: int, tail: float) -> float:
    """Returns the lower end of McNemar's interval."""
    from scipy import optimize  # which takes a while to import

    differ = only_a + only_b
    # p is drawn from the distribution whose quantiles are the lower ends of its exact interval.
    below_half = scipy.special.betainc(only_a, only_b + 1, 0.5) if only_a else 1.0
    if below_half < tail:
        p = scipy.special.betaincinv(only_a, only_b + 1, below_half + (1 - below_half) * _QUANTILES)
        odds = 2 * p - 1

        def beyond(value: float) -> float:
            lower = scipy.special.betainc(differ, n - differ + 1, np.minimum(value / odds, 1))
            return below_half + (1 - below_half) * lower.mean() - tail

        return float(optimize.brentq(beyond, 0.0, 1.0, xtol=1e-9))
    p = (
        scipy.special.betaincinv(only_a, only_b + 1, below_half * _QUANTILES)
        if only_a
        else 0 * _QUANTILES
    )
    odds = 1 - 2 * p

    def beyond_low(value: float) -> float:
        ratio = np.minimum(-value / np.maximum(odds, 1e-300), 1)
        upper = ratio < 1 if differ == n else scipy.special.betaincc(differ + 1, n - differ, ratio)
        return below_half * upper.mean() - tail

    if beyond_low(-1.0) >= 0:
        return -1.0
    return float(optimize.brentq(beyond_low, -1.0, 0.0, xtol=1e-9))
