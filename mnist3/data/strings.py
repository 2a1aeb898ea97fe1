"""The dataset `strings`: strips of numbers of any length, made from digit images."""

import numpy as np
from ml_collections import ConfigDict

from mnist3.data import protocols
from mnist3.data.composition import make_pool
from mnist3.data.draws import data_key
from mnist3.data.numbers import digit_range
from mnist3.data.sources import load_source
from mnist3.data.splits import Dataset, Split, Stream, fingerprint
from mnist3.data.writing import Writing, split_strings, write_split
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


def load(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    """Composes val and test once, and leaves train to be composed; see `dataset.load`."""
    del cache_dir
    source = load_source(config.source, data_dir)
    rows = protocols.split_digit_images(
        source, config.digit_images == "shared", config.seed, config.val_fraction
    )
    allowed = split_strings(config.numbers == "shared", config.seed)
    writing = as_writing(config, source.side)
    pools = {
        name: make_pool(source.images[part], source.labels[part], source.classes, part)
        for name, part in rows.items()
    }
    splits, drawn = {}, {"train": rows["train"][:, None]}
    examples = {"val": config.val_examples, "test": config.test_examples}
    for position, (name, count) in enumerate(examples.items()):
        key = data_key(config.seed, position)
        images, labels, used = write_split(key, pools[name], allowed[name], writing, count)
        splits[name] = Split(np.asarray(images), np.asarray(labels))
        drawn[name] = np.asarray(used)
    return Dataset(
        name=config.name,
        source=source.name,
        classes=source.classes,
        fingerprint=fingerprint(
            source.fingerprint,
            drawn | {f"strings of {name}": part for name, part in allowed.items()},
            writing,
            config.seed,  # which draws how the strings are written too
        ),
        protocol=protocols.as_text(config),
        splits=splits,
        stream=Stream(pools["train"], allowed["train"]),
        composition=writing,
        digit_indices=drawn,
    )
