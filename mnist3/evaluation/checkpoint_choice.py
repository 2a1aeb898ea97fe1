"""Which checkpoint of a training to read images with, decided on val.

A schedule whose learning rate ends at zero has a natural last checkpoint: every step of it was
taken to arrive there. An earlier one that val finds better by a few images is better by chance
more often than not, since it is the best of many. It is taken only if it is better beyond noise.

Two checkpoints are kept, the best so far and the latest. When the training is over, or whenever
images are read, `is_better` says whether the best is to be taken instead of the latest. The best
follows the highest share alone, so that a slow decline, in which no epoch is beyond noise worse
than the one before it, is still measured from its top.
"""

import numpy as np
from jaxtyping import Bool, Float

from mnist3.evaluation import paired
from mnist3.evaluation.clusters import Sharing
from mnist3.evaluation.selection import SIGNIFICANCE

Outcomes = Bool[np.ndarray, "n"] | Float[np.ndarray, "n"]


def is_better(
    best: Outcomes,
    latest: Outcomes,
    looked_at: int,
    shared: Sharing | None = None,
) -> bool:
    """Returns whether the best epoch so far is better than the latest one beyond noise.

    The p-value of "they are equally good" on the same images times the number of earlier epochs
    that the best one was chosen from (Bonferroni's correction) is below 5 %.

    Args:
        best: which images of val the best epoch so far reads right, or its error of each.
        latest: the same of the latest epoch.
        looked_at: epochs so far, the latest among them.
        shared: which number images of val share digit images, where they do.
    """
    if _goodness(best) <= _goodness(latest) or len(best) == 1:
        return False
    shares = best.dtype == bool
    difference: paired.Discordant | paired.Estimate
    if shares and shared is None:
        difference = paired.discordant(best, latest)
    else:
        outcomes = {"best": best[None].astype(float), "latest": latest[None].astype(float)}
        [difference] = paired.differences(outcomes, [("best", "latest")], shares, shared)
    p_value = difference.p_value()
    return bool(p_value * max(looked_at - 1, 1) < SIGNIFICANCE)


def _goodness(outcomes: Outcomes) -> float:
    """Returns a number that is higher for a better epoch."""
    mean = float(outcomes.mean(dtype=np.float64))
    return mean if outcomes.dtype == bool else -mean
