"""A dataset: images and labels of three splits, fixed or composed, and what the splits share."""

import dataclasses
import functools
import hashlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32
from ml_collections import ConfigDict

from mnist3.data import protocols
from mnist3.data.audit import match_columns
from mnist3.data.composition import (
    Composition,
    DigitPool,
    compose_split,
    make_pool,
    overlap,
)
from mnist3.data.numbers import digits_of
from mnist3.data.resplit import resplit
from mnist3.data.sources import DigitSource, load_source, source_files
from mnist3.data.splits import Split, data_key
from mnist3.data.triple_mnist import load_triple_mnist, triple_mnist_files
from mnist3.errors import UserError


class Stream(NamedTuple):
    """Training images composed on the device as they are needed."""

    pool: DigitPool
    numbers: Int32[Array, "m"] | None  # that may be drawn; None for every number


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels of the splits.

    Attributes:
        name: `composed`, `triple_mnist` or `single_digit`.
        source: where the digit images come from, `mnist` or `digits`.
        fingerprint: sha256 over all that the images are made from.
        protocol: what the splits share: {"numbers": ..., "digit_images": ...}.
        splits: the fixed splits that exist, of train, val and test.
        stream: what training images are composed from, where train is not fixed.
        composition: how a composed image is laid out, for composed datasets.
        digit_indices: by split, the source's digit images of every number image, int32 [n, K];
            for composed datasets. Train holds those that may be drawn, int32 [m, 1].
    """

    name: str
    source: str
    fingerprint: str
    protocol: dict[str, str]
    splits: dict[str, Split]
    stream: Stream | None = None
    composition: Composition | None = None
    digit_indices: dict[str, np.ndarray] | None = None

    example_word = "images"
    columns = ()

    def index(self, split: str) -> None:
        """Returns nothing: images of a split are counted from 0."""

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """By split, the numbers that its images show or, where composed, may show: int32 [m, K]."""
        found = {}
        if self.stream is not None and self.stream.numbers is not None:
            digits = self.composition.digits
            found["train"] = np.asarray(digits_of(jnp.asarray(self.stream.numbers), digits))
        return found | {name: split.labels for name, split in self.splits.items()}

    def describe(self) -> dict[str, Any]:
        """Returns the entry `dataset` of metrics.json.

        For composed images it says too which share of a digit's box its neighbour covers.
        """
        described = {
            "name": self.name,
            "source": self.source,
            "fingerprint": self.fingerprint,
            "protocol": self.protocol,
        }
        if self.composition is not None:
            described["overlap"] = overlap(self.composition)
        return described


def load(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    """Loads or makes the dataset that a config's section `data` describes.

    Args:
        config: the section `data` of a config.
        data_dir: folder with the files of MNIST and of triple MNIST; without one MNIST comes
            through TensorFlow Datasets.
        cache_dir: folder for decoded images.

    Raises:
        UserError: if files are missing or broken, or the config does not fit the data.
    """
    dataset = REGISTRY[config.name](config, data_dir, cache_dir)
    return _limited(dataset, config) if config.train_limit else dataset


def files(config: ConfigDict, data_dir: str | None) -> list[str]:
    """Returns the files and folders in `data_dir` that `load` reads, as far as they exist.

    Raises:
        UserError: if number images are asked for and not there.
    """
    if data_dir is None:
        return []
    found = source_files(config.source, data_dir)
    if config.name == "triple_mnist":
        found += triple_mnist_files(data_dir)
    return found


def _limited(dataset: Dataset, config: ConfigDict) -> Dataset:
    """Keeps so many images of a fixed train split as the config says, drawn by its seed."""
    if "train" not in dataset.splits:
        raise UserError(
            f"config.data.train_limit is {config.train_limit} but {dataset.name} has no fixed "
            "train images to limit; set config.data.train_examples for composed ones."
        )
    train = dataset.splits["train"]
    rows = np.random.default_rng(config.seed).permutation(len(train))[: config.train_limit]
    kept = Split(train.images[np.sort(rows)], train.labels[np.sort(rows)])
    return dataclasses.replace(
        dataset,
        splits=dataset.splits | {"train": kept},
        fingerprint=_fingerprint(dataset.fingerprint, config.train_limit),
    )


def _fingerprint(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()


def _protocol(config: ConfigDict) -> dict[str, str]:
    return {"numbers": config.numbers, "digit_images": config.digit_images}


def _split_source(config: ConfigDict, source: DigitSource) -> dict[str, np.ndarray]:
    return protocols.split_digit_images(
        source, config.digit_images == "shared", config.seed, config.val_fraction
    )


def as_composition(config: ConfigDict) -> Composition:
    """Returns the layout of composed images that a config's section `data` describes."""
    return Composition(
        digits=config.digits, height=config.height, width=config.width, **config.composition
    )


def _load_composed(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    del cache_dir
    source = load_source(config.source, data_dir)
    indices = _split_source(config, source)
    numbers = protocols.split_numbers(config.digits, config.numbers == "shared", config.seed)
    layout = as_composition(config)
    pools = {
        name: make_pool(source.images[rows], source.labels[rows], rows)
        for name, rows in indices.items()
    }
    splits, drawn = {}, {"train": indices["train"][:, None]}
    examples = {"val": config.val_examples, "test": config.test_examples}
    for position, (name, count) in enumerate(examples.items()):
        key = data_key(config.seed, position)
        images, labels, used = compose_split(key, pools[name], numbers[name], layout, count)
        splits[name] = Split(np.asarray(images), np.asarray(labels))
        drawn[name] = np.asarray(used)
    return Dataset(
        name=config.name,
        source=source.name,
        fingerprint=_fingerprint(
            source.fingerprint, layout, *indices.values(), *numbers.values(), *drawn.values()
        ),
        protocol=_protocol(config),
        splits=splits,
        stream=Stream(pools["train"], numbers["train"]),
        composition=layout,
        digit_indices=drawn,
    )


def _load_single_digit(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    del cache_dir
    if (config.numbers, config.digit_images) != ("shared", "disjoint"):
        raise UserError(
            "config.data.name=single_digit has the ten digits in every split and no digit image "
            "in two; set config.data.numbers=shared and config.data.digit_images=disjoint."
        )
    if (config.height, config.width) != (28, 28):
        raise UserError(
            f"config.data.name=single_digit has images of 28x28 but the config asks for "
            f"{config.height}x{config.width}; set config.data.height and config.data.width to 28."
        )
    source = load_source(config.source, data_dir)
    indices = _split_source(config, source)
    return Dataset(
        name=config.name,
        source=source.name,
        fingerprint=_fingerprint(source.fingerprint, *indices.values()),
        protocol=_protocol(config),
        splits={
            name: Split(source.images[rows], source.labels[rows, None])
            for name, rows in indices.items()
        },
    )


def _load_triple_mnist(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    if data_dir is None:
        raise UserError(
            "config.data.name=triple_mnist needs its images; put triple_mnist.zip into a folder "
            "and give it with --data_dir or MNIST3_DATA_DIR."
        )
    files = functools.partial(load_triple_mnist, data_dir, cache_dir, digits=config.digits)
    published = files(config.height, config.width)
    matched = {}
    if config.digit_images == "disjoint":
        source = load_source(config.source, data_dir)
        native = files() if (config.height, config.width) != (84, 84) else published
        matched = {
            name: match_columns(split.images, source) for name, split in native.splits.items()
        }
    return Dataset(
        name=config.name,
        source=config.source,
        fingerprint=_fingerprint(
            published.fingerprint, config.numbers, config.digit_images, config.seed
        ),
        protocol=_protocol(config),
        splits=resplit(published.splits, config.numbers, config.digit_images, matched, config.seed),
    )


REGISTRY = {
    "composed": _load_composed,
    "single_digit": _load_single_digit,
    "triple_mnist": _load_triple_mnist,
}
