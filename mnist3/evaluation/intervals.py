"""95 % intervals: of a share by Wilson's score, of anything else by the bootstrap.

The bootstrap draws as many images as there are, with replacement, many times, and sees how the
metric varies (B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7,
1979). The interval is that of the percentiles. Drawing counts of images instead of images makes
every resample a row of one matrix product.
"""

from collections.abc import Iterator

import numpy as np
import scipy  # whose parts come when they are used: `special` takes a tenth of a second
from jaxtyping import Float, Int

from mnist3.errors import UserError

RESAMPLES = 1000
# What is drawn has its own stream of random numbers, also where the seed is the same.
_CELLS, _IMAGES = 1, 2
_CHUNK = 2**22  # counts held in memory at once


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a share of `successes` in `n` trials, n > 0.

    Unlike the intervals of the normal approximation and of the bootstrap it has a width also when
    no trial or every trial succeeds, and it stays inside [0, 1]. SciPy's `binomtest` gives the same
    to the last bit, but every run would wait half a second for the import of `scipy.stats`.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22, 1927.
    """
    share, z = successes / n, scipy.special.ndtri(0.975)
    scale = 2 * (n + z**2)
    centre = (2 * n * share + z**2) / scale
    half_width = z / scale * np.sqrt(4 * n * share * (1 - share) + z**2)
    low = centre - half_width if successes > 0 else 0.0
    high = centre + half_width if successes < n else 1.0
    return float(low), float(high)


def effective_share_interval(
    share: float, images: float, degrees: float, level: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of a share that is known as well as by so many independent images.

    Clopper and Pearson's exact interval at the effective number of images, which need not be whole.

    Args:
        share: from 0 to 1.
        images: n over the design effect, above 0.
        degrees: of freedom of the estimated variance, above 0.
        level: how often the interval holds the truth.

    Source: E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data, Survey Methodology 24, 1998.
    """
    tail = (1 - level) / 2
    images *= (scipy.special.ndtri(tail) / scipy.special.stdtrit(degrees, tail)) ** 2
    hits = share * images
    low = scipy.special.betaincinv(hits, images - hits + 1, tail) if share > 0 else 0.0
    high = scipy.special.betaincinv(hits + 1, images - hits, 1 - tail) if share < 1 else 1.0
    return float(low), float(high)


def require_images(n: int) -> int:
    """Returns the number of images of a split.

    Raises:
        UserError: if there is none.
    """
    if n == 0:
        raise UserError(
            "there is no image to evaluate in this split; choose a split that has images or raise "
            "the number of its examples in config.data."
        )
    return n


def percentile_interval(
    estimate: float, resampled: Float[np.ndarray, "resamples"]
) -> tuple[float, float]:
    """Returns the 95 % interval that resampled values of a metric span.

    Args:
        estimate: the metric of the images themselves. Where a metric is biased on few images the
            percentiles can miss it; then the interval is widened to hold it.
        resampled: the metric of each resample; nan where a resample does not have it.
    """
    resampled = resampled[~np.isnan(resampled)]
    if len(resampled) == 0:
        return estimate, estimate
    low, high = np.percentile(resampled, (2.5, 97.5))
    return min(float(low), estimate), max(float(high), estimate)


def resample_cells(
    counts: Int[np.ndarray, "*cells"], seed: int = 0
) -> Int[np.ndarray, "resamples *cells"]:
    """Returns tables of counts of resampled images, given how many images fall into each cell.

    Drawing n images again changes only how many fall into each cell of a confusion matrix, so a
    draw costs the same for ten images as for ten million.
    """
    n = int(counts.sum())
    drawn = np.random.default_rng([seed, _CELLS]).multinomial(n, counts.ravel() / n, size=RESAMPLES)
    return drawn.reshape(RESAMPLES, *counts.shape)


def resample_images(n: int, seed: int = 0) -> Iterator[Int[np.ndarray, "chunk n"]]:
    """Yields how often each of n images is drawn in each resample, some resamples at a time."""
    random = np.random.default_rng([seed, _IMAGES])
    chunk = max(_CHUNK // n, 1)
    for start in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - start)
        drawn = random.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)


def bootstrap_means(
    values: Float[np.ndarray, "n metrics"], seed: int = 0
) -> Float[np.ndarray, "resamples metrics"]:
    """Returns the means of resampled images; the metrics of an image stay together."""
    values = values.astype(np.float64)
    return np.concatenate([counts @ values for counts in resample_images(len(values), seed)]) / len(
        values
    )


def bootstrap_mean_interval(values: Float[np.ndarray, "n"], seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of one value an image."""
    return percentile_interval(
        float(values.mean(dtype=np.float64)), bootstrap_means(values[:, None], seed)[:, 0]
    )
