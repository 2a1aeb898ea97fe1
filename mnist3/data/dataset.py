"""The datasets, by name; how one is loaded or made from a config."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from mnist3.data import composed, draws, single_digit, sources, strings, triple_mnist
from mnist3.data.splits import Dataset, Split, fingerprint
from mnist3.errors import UserError, nearest

REGISTRY = {
    "composed": composed.load,
    "strings": strings.load,
    "triple_mnist": triple_mnist.load,
    "single_digit": single_digit.load,
}

_COMPOSED = ("composed", "strings")

# Those that divide their source's digit images between the splits, by these fields alone.
_DIVIDE_DIGIT_IMAGES = ("composed", "single_digit", "strings")
_DIVIDING = ("source", "seed", "val_fraction")


def load(config: ConfigDict, data_dir: str | None, cache_dir: str, images: bool = True) -> Dataset:
    """Loads or makes the dataset that a config's section `data` describes.

    Args:
        config: the section `data` of a config.
        data_dir: folder with the files of the sources and of triple MNIST; without one MNIST comes
            through TensorFlow Datasets.
        cache_dir: folder for decoded images.
        images: False where it is enough to know what val and test show; where they would be
            composed, their images are then black.

    Raises:
        UserError: if there is no such dataset, files are missing or broken, or the config does not
            fit the data.
    """
    if config.name not in REGISTRY:
        raise UserError(
            f"unknown dataset {config.name!r}: set config.data.name to one of "
            f"{', '.join(REGISTRY)} (did you mean {nearest(config.name, REGISTRY)!r}?)"
        )
    black = {} if images or config.name not in _COMPOSED else {"images": False}
    dataset = REGISTRY[config.name](config, data_dir, cache_dir, **black)
    return _limited(dataset, config) if config.train_limit else dataset


def may_share_digit_images(trained: ConfigDict, other: ConfigDict) -> str:
    """Returns why val and test of a dataset may hold digit images of another one's train.

    Args:
        trained: section `data` of a config that was trained on.
        other: section `data` of the dataset with these splits.

    Returns:
        the reason as a clause; "" where they hold none, since both divide the digit images of one
        source alike.
    """
    for config in (trained, other):
        if config.name not in _DIVIDE_DIGIT_IMAGES:
            return f"{config.name} does not divide the digit images of its source"
        if config.digit_images != "disjoint":
            return f"config.data.digit_images is {config.digit_images}"
    for name in _DIVIDING:
        before, now = trained[name], other[name]
        if before != now:
            return f"config.data.{name} was {before} and is {now}"
    return ""


def files(config: ConfigDict, data_dir: str | None) -> list[str]:
    """Returns the files and folders in `data_dir` that `load` reads, as far as they exist.

    Raises:
        UserError: if number images are asked for and not there.
    """
    if data_dir is None:
        return []
    found = sources.source_files(config.source, data_dir)
    if config.name == "triple_mnist":
        found += triple_mnist.triple_mnist_files(data_dir)
    return found


def _limited(dataset: Dataset, config: ConfigDict) -> Dataset:
    """Keeps so many images of a fixed train split as the config says, drawn by its seed."""
    if "train" not in dataset.splits:
        raise UserError(
            f"config.data.train_limit is {config.train_limit} but {dataset.name} has no fixed "
            "train images to limit; set config.data.train_examples for composed ones."
        )
    train = dataset.splits["train"]
    if config.train_limit >= len(train):
        return dataset
    order = draws.generator(config.seed, "limit of train").permutation(len(train))
    rows = np.sort(order[: config.train_limit])
    return dataclasses.replace(
        dataset,
        splits=dataset.splits | {"train": Split(train.images[rows], train.labels[rows])},
        fingerprint=fingerprint(dataset.fingerprint, {"train": rows}),
    )
