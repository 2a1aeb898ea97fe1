"""Uncertainty of means over number images that share digit images.

A number image is composed of K digit images, and each digit image stands on many number images. A
reader that cannot read one digit image misreads all of them, so they say less than as many images
that have nothing in common.

Number images count as dependent where they share a digit image, and as independent elsewhere. The
variance of a mean is then the sum of the products of deviations over all pairs that share one:
A. C. Cameron, J. B. Gelbach and D. L. Miller, Robust inference with multiway clustering, Journal of
Business & Economic Statistics 29, 2011, for members that may stand in any position P. M. Aronow,
C. Samii and V. A. Assenova, Cluster-robust variance estimation for dyadic data, Political Analysis
23, 2015. The pigeonhole bootstrap (A. B. Owen, Annals of Applied Statistics 1, 2007), which draws
digit images and weights a number image by the product of their counts, estimates the same where
digit images decide, but counts what is left to chance 2^K - 1 times; the sum needs no draws.

Number images may hold different numbers of digit images: fewer than K, or none.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mnist3.evaluation.intervals import effective_share_interval, require_images, wilson_interval

if TYPE_CHECKING:
    import scipy.sparse

_PAIRS = 2**21  # of number images that share digit images, held in memory at once


class Sharing(NamedTuple):
    """Which number images share digit images.

    Attributes:
        holders: 1 where a number image holds a digit image [clusters, n], else 0. A number image of
            which no digit image is known is alone in a cluster.
        clusters: distinct digit images, and number images of which none is known.
        largest_effect: how often a digit image is used: number images for each that could be
            composed if none were used twice; the design effect if digit images alone decided.
    """

    holders: "scipy.sparse.csr_array"
    clusters: int
    largest_effect: float


def sharing(digit_indices: Int[np.ndarray, "n K"]) -> Sharing:
    """Returns which number images share digit images.

    Args:
        digit_indices: where the digit images of each number image stand in their source; -1 where
            there is none, or one that is not known and shared with no other image.
    """
    from scipy.sparse import csr_array  # which takes a while to import

    n = require_images(len(digit_indices))
    known = digit_indices >= 0
    alone = np.flatnonzero(~known.any(axis=1))
    found, clusters = np.unique(digit_indices[known], return_inverse=True)
    rows = np.concatenate([clusters, len(found) + np.arange(len(alone))])
    images = np.concatenate([np.nonzero(known)[0], alone])
    count = len(found) + len(alone)
    holders = csr_array((np.ones(len(rows)), (rows, images)), shape=(count, n))
    holders.sum_duplicates()
    holders.data[:] = 1  # an image that holds a digit image twice shares itself with itself once
    return Sharing(holders, count, max(len(rows) / count, 1.0))


def variance_of_means(
    values: Float[np.ndarray, "n metrics"], shared: Sharing
) -> Float[np.ndarray, "metrics"]:
    """Returns the variance of the mean over the images of each of several metrics.

    A pair counts once, however many digit images it shares. It is never below the variance of
    independent images.
    """
    n = len(values)
    deviations = values - values.mean(axis=0)
    independent = (deviations**2).sum(axis=0)
    total = np.zeros_like(independent)
    held = shared.holders.T.tocsr()
    pairs = (shared.holders.sum(axis=1) ** 2).sum()
    chunk = max(int(_PAIRS * n / pairs), 1)
    for start in range(0, n, chunk):
        rows = slice(start, start + chunk)
        shares = held[rows] @ shared.holders
        shares.data[:] = 1
        total += (deviations[rows] * (shares @ deviations)).sum(axis=0)
    few = shared.clusters / max(shared.clusters - 1, 1)
    return np.maximum(few * total, independent * n / max(n - 1, 1)) / n**2


def effective_clusters(
    values: Float[np.ndarray, "n metrics"], shared: Sharing
) -> Float[np.ndarray, "metrics"]:
    """Returns how many digit images of equal weight would tell as much about a variance.

    Where the deviations of a mean come from a few digit images, its variance is known no better
    than from these few; as degrees of freedom this keeps a test from rejecting too often.

    Source: M. P. Fay and B. I. Graubard, Small-sample adjustments for Wald-type tests using
    sandwich estimators, Biometrics 57, 2001.
    """
    squares = (shared.holders @ (values - values.mean(axis=0))) ** 2
    fourth = (squares**2).sum(axis=0)
    alike = float(max(shared.clusters - 1, 1))
    found = squares.sum(axis=0) ** 2 / np.where(fourth > 0, fourth, 1)
    return np.where(fourth > 0, np.clip(found, 1, alike), alike)


def share_interval(
    right: Bool[np.ndarray, "n"], digit_indices: Int[np.ndarray, "n _"] | None = None
) -> tuple[float, float]:
    """Returns the 95 % interval of the share of images read right.

    Args:
        right: whether each image is read right; n > 0.
        digit_indices: as for `sharing`, where images are composed: the interval is then of new
            digit images, else Wilson's.
    """
    if digit_indices is None:
        return wilson_interval(int(right.sum()), len(right))
    return cluster_interval(right, digit_indices)


def cluster_interval(
    right: Bool[np.ndarray, "n"], digit_indices: Int[np.ndarray, "n K"]
) -> tuple[float, float]:
    """Returns the 95 % interval of the share of number images read right, for new digit images.

    Args:
        right: whether each number image is read right.
        digit_indices: as for `sharing`.

    Raises:
        UserError: without any image.
    """
    shared = sharing(digit_indices)
    share, degrees = float(right.mean()), float(max(shared.clusters - 1, 1))
    [variance] = variance_of_means(right[:, None].astype(np.float64), shared)
    return effective_share_interval(
        share, effective_images(share, float(variance), len(right), shared), degrees
    )


def effective_images(share: float, variance: float, n: int, shared: Sharing) -> float:
    """Returns how many independent images would say as much about a share as n images do.

    n over the design effect, the ratio of the variance of the share to that of independent images.
    A few misread images cannot show how far digit images decide; so one more is added to them that
    has the largest possible design effect.
    """
    rare = min(share, 1 - share) * n
    effect = variance * n / (share * (1 - share)) if rare else 1.0
    return n / ((rare * max(effect, 1.0) + shared.largest_effect) / (rare + 1))
