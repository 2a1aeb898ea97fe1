"""Estimators with scikit-learn's interface: its own by name, and networks."""

from mnist3.estimators.flax_denoiser import FlaxDenoiser
from mnist3.estimators.flax_estimator import FlaxClassifier
from mnist3.estimators.registry import (
    create,
    defaults,
    fits,
    names,
    train_limit,
)

__all__ = [
    "FlaxClassifier",
    "FlaxDenoiser",
    "create",
    "defaults",
    "fits",
    "names",
    "train_limit",
]
