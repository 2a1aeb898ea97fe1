"""The study of chapter 3 of a well-known textbook on MNIST, its published figures beside ours.

python launch.py --config=experiments/textbook.py
"""

from ml_collections import ConfigDict

from mnist3.config import TEXTBOOK_PARTS, base, parse_variants


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `source` (mnist, digits)."""
    variants = parse_variants(argument, source="mnist")
    config = base()
    config.seed = 42
    config.data.name = "single_digit"
    config.data.source = variants.source
    config.data.digits = 1
    config.data.height = 28
    config.data.width = 28
    config.data.numbers = "shared"
    config.textbook.parts = TEXTBOOK_PARTS
    return config
