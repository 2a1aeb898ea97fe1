"""Estimators with scikit-learn's interface: its own by name, and Flax models."""

from mnist3.estimators.flax_estimator import FlaxClassifier, FlaxDenoiser

__all__ = ["FlaxClassifier", "FlaxDenoiser"]
