"""The dataset `strings`: strips of numbers of any length, made from digit images."""

from ml_collections import ConfigDict

from mnist3.data.composed import compose
from mnist3.data.numbers import digit_range
from mnist3.data.sources import load_source
from mnist3.data.splits import Dataset
from mnist3.data.writing import Writing, split_strings
from mnist3.errors import UserError


def as_writing(config: ConfigDict, side: int) -> Writing:
    """Returns how strings are written, as a config's section `data` describes it.

    Args:
        config: the section `data` of a config.
        side: of the source's digit images, px.

    Raises:
        UserError: if strings cannot be written so.
    """
    if not isinstance(config.digits, int) and len(config.digits) != 2:
        raise UserError(
            f"config.data.digits is {config.digits}; give the shortest and the longest string, as "
            "in (1, 10), or one length."
        )
    shortest, longest = digit_range(config.digits)
    return Writing(
        shortest=shortest,
        longest=longest,
        height=config.height,
        width=config.width,
        side=side,
        **config.composition,
    )


def load(config: ConfigDict, data_dir: str | None, cache_dir: str, images: bool = True) -> Dataset:
    """Composes val and test once, and leaves train to be composed; see `dataset.load`."""
    del cache_dir
    source = load_source(config.source, data_dir)
    allowed = split_strings(config.numbers == "shared", config.seed)
    writing = as_writing(config, source.side)
    return compose(config, source, allowed, writing, "strings", batch=500, images=images)
