"""The study of chapter 3 of a well-known textbook on MNIST, its published figures beside ours.

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
