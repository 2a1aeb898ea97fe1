"""The dataset `composed`: number images made from the digit images of a source."""

from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from mnist3.data import protocols
from mnist3.data.composition import (
    Composition,
    Layout,
    compose_split,
    draw_split,
    make_pool,
)
from mnist3.data.draws import data_key
from mnist3.data.sources import DigitSource, load_source
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


def load(config: ConfigDict, data_dir: str | None, cache_dir: str, images: bool = True) -> Dataset:
    """Composes val and test once, and leaves train to be composed; see `dataset.load`."""
    del cache_dir
    source = load_source(config.source, data_dir)
    classes = len(source.classes)
    allowed = protocols.split_numbers(
        config.digits, classes, config.numbers == "shared", config.seed
    )
    layout = as_composition(config, source.side)
    return compose(config, source, allowed, layout, "numbers", images=images)


def compose(
    config: ConfigDict,
    source: DigitSource,
    allowed: Mapping[str, np.ndarray | None],
    layout: Layout,
    what: str,
    batch: int = 1000,
    images: bool = True,
) -> Dataset:
    """Composes val and test once, and leaves train to be composed.

    Args:
        config: the section `data` of a config.
        source: of the digit images.
        allowed: by split the numbers that may be drawn, as the layout takes them; None for all.
        layout: of the images.
        what: the numbers are called, in the fingerprint.
        batch: images composed at a time, which the keys of the images depend on.
        images: whether to compose val and test, or to leave their images black.

    Raises:
        UserError: if a split would have no image of a class.
    """
    rows = protocols.split_digit_images(
        source, config.digit_images == "shared", config.seed, config.val_fraction
    )
    pools = {
        name: make_pool(source.images[part], source.labels[part], source.classes, part)
        for name, part in rows.items()
    }
    splits, drawn = {}, {"train": rows["train"][:, None]}
    examples = {"val": config.val_examples, "test": config.test_examples}
    for position, (name, count) in enumerate(examples.items()):
        key = data_key(config.seed, position)
        drawing = key, pools[name], allowed[name], layout, count, batch
        if images:
            shown, labels, used = map(np.asarray, compose_split(*drawing))
        else:
            labels, used = draw_split(*drawing)
            shown = np.broadcast_to(np.uint8(0), (count, config.height, config.width))
        splits[name], drawn[name] = Split(shown, labels), used
    return Dataset(
        name=config.name,
        source=source.name,
        classes=source.classes,
        fingerprint=fingerprint(
            source.fingerprint,
            drawn | {f"{what} of {name}": part for name, part in allowed.items()},
            layout,
            config.seed,  # which draws the places of the digits too
        ),
        protocol=protocols.as_text(config),
        splits=splits,
        stream=Stream(pools["train"], allowed["train"]),
        composition=layout,
        digit_indices=drawn,
    )
