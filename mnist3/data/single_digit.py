"""The dataset `single_digit`: the digit images of a source as they are."""

from ml_collections import ConfigDict

from mnist3.data import protocols
from mnist3.data.sources import load_source
from mnist3.data.splits import Dataset, Split, fingerprint
from mnist3.errors import UserError


def load(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    """Divides a source's digit images; see `dataset.load`."""
    del cache_dir
    if (config.numbers, config.digit_images) != ("shared", "disjoint"):
        raise UserError(
            "config.data.name=single_digit has every class in every split and no digit image in "
            "two; set config.data.numbers=shared and config.data.digit_images=disjoint."
        )
    source = load_source(config.source, data_dir)
    if (config.height, config.width) != (source.side, source.side):
        raise UserError(
            f"config.data.name=single_digit has images of {source.side}x{source.side} but the "
            f"config asks for {config.height}x{config.width}; set config.data.height and "
            f"config.data.width to {source.side}."
        )
    rows = protocols.split_digit_images(source, False, config.seed, config.val_fraction)
    return Dataset(
        name=config.name,
        source=source.name,
        classes=source.classes,
        fingerprint=fingerprint(source.fingerprint, rows),
        protocol=protocols.as_text(config),
        splits={
            name: Split(source.images[part], source.labels[part, None])
            for name, part in rows.items()
        },
    )
