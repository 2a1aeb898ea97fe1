"""The study of chapter 3 of a well-known textbook on MNIST, its published figures beside ours.

Measured on MNIST with scikit-learn 1.9.1: 36 published figures match and three differ, those of
SGD on ten classes (folds plain and scaled, scores of the first image); the table says why. 857 s
the first time, 11 s the second, on two cores of an AMD EPYC (Zen 4):

    python launch.py --config=experiments/textbook.py
"""

from ml_collections import ConfigDict

from mnist3.config import TEXTBOOK_PARTS, one_digit, parse_variants


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `source` (mnist, digits)."""
    variants = parse_variants(argument, source="mnist")
    config = one_digit(variants.source)
    config.seed = 42
    config.textbook.parts = TEXTBOOK_PARTS
    return config
