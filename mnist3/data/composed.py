"""The dataset `composed`: number images made from the digit images of a source."""

import numpy as np
from ml_collections import ConfigDict

from mnist3.data import protocols
from mnist3.data.composition import Composition, compose_split, make_pool
from mnist3.data.draws import data_key
from mnist3.data.sources import load_source
from mnist3.data.splits import Dataset, Split, Stream, fingerprint


def as_composition(config: ConfigDict, side: int) -> Composition:
    """Returns the layout of composed images that a config's section `data` describes.

    Args:
        config: the section `data` of a config.
        side: of the source's digit images, px.
    """
    return Composition(
        digits=config.digits,
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
    classes = source.classes
    allowed = protocols.split_numbers(
        config.digits, len(classes), config.numbers == "shared", config.seed
    )
    layout = as_composition(config, source.side)
    pools = {
        name: make_pool(source.images[part], source.labels[part], classes, part)
        for name, part in rows.items()
    }
    splits, drawn = {}, {"train": rows["train"][:, None]}
    examples = {"val": config.val_examples, "test": config.test_examples}
    for position, (name, count) in enumerate(examples.items()):
        key = data_key(config.seed, position)
        images, labels, used = compose_split(key, pools[name], allowed[name], layout, count)
        splits[name] = Split(np.asarray(images), np.asarray(labels))
        drawn[name] = np.asarray(used)
    return Dataset(
        name=config.name,
        source=source.name,
        classes=classes,
        fingerprint=fingerprint(
            source.fingerprint,
            drawn | {f"numbers of {name}": part for name, part in allowed.items()},
            layout,
            config.seed,  # which draws the places of the digits too
        ),
        protocol=protocols.as_text(config),
        splits=splits,
        stream=Stream(pools["train"], allowed["train"]),
        composition=layout,
        digit_indices=drawn,
    )
