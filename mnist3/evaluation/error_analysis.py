"""Which images a model gets wrong, in the order in which to look at them."""

import numpy as np
from jaxtyping import Float, Int, Int32


def misread(
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    confidences: Float[np.ndarray, "n"],
) -> Int[np.ndarray, "misread"]:
    """Returns the indices of the misread images, those read most confidently first."""
    wrong = np.flatnonzero((labels != predictions).any(axis=1))
    return wrong[np.argsort(-confidences[wrong], kind="stable")]
