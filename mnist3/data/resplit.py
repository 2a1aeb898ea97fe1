"""Other protocols for number images that exist already: who shares numbers and digit images.

Published as: numbers disjoint, digit images shared. The others are made from that by moving images
between the splits, or by dropping some:

- Numbers shared, digit images shared: all images, drawn anew as 64 % train, 16 % val, 20 % test.
- Numbers disjoint, digit images disjoint: every image stays in its split or is dropped.
- Numbers shared, digit images disjoint: every image goes to one of three splits, again in the
  ratio 64 to 16 to 20, or is dropped.

To drop nothing is impossible where almost every digit image is in several number images: each
digit image has to go to one split, and a number image is lost whose digit images went to several.
Which to give away is chosen greedily. All belong to train at first. Then, again and again, the
number images of val or test, whichever is further behind, are taken that cost the other splits the
fewest images, until no split is further behind than train. So the ratio between the splits stays
what it was. On the published Triple MNIST without its test split this keeps 52 % of train and 54 %
of val, where no choice could keep more than 55 % of both (by the minimum cut, since two splits
make it an independent set of a bipartite graph); with numbers shared it keeps 61 % of all images.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32, Int64
from tqdm import tqdm

from mnist3.data import draws
from mnist3.data import numbers as numbers_of
from mnist3.data.splits import Split
from mnist3.errors import UserError

RATIO = {"train": 64, "val": 16, "test": 20}
_STEPS = 400  # in which the greedy choice is made; more keep hardly more
_UNCLAIMED = 0  # as a digit image's owner: it is train's


def choose_rows(
    splits: dict[str, Split],
    numbers: Literal["shared", "disjoint"],
    digit_images: Literal["shared", "disjoint"],
    indices: dict[str, Int32[np.ndarray, "_ _"]],
    seed: int,
    classes: Sequence[str],
) -> dict[str, Int64[np.ndarray, "_"]]:
    """Returns which images each split of another protocol has, in rising order.

    Images are counted through all given splits, whose numbers are disjoint.

    Args:
        splits: the images as published.
        numbers: what the new splits share.
        digit_images: what the new splits share.
        indices: by split, which digit images of the source each image holds.
        seed: draws the new splits, and between choices that cost the same.
        classes: what the values of a digit are called.

    Raises:
        UserError: numbers should be disjoint but are not in `splits`; digit images should be and
            some are unknown (-1), or a split would have no image left.
    """
    sizes = {name: len(split) for name, split in splits.items()}
    total = sum(sizes.values())
    if numbers == "disjoint":
        _check_disjoint(splits, classes)
        if digit_images == "shared":
            ends = np.cumsum(list(sizes.values()))
            return dict(zip(splits, np.split(np.arange(total), ends[:-1]), strict=True))
    order = draws.generator(seed, "images of the protocol").permutation(total)
    names = list(RATIO) if numbers == "shared" else [name for name in RATIO if name in splits]
    if digit_images == "shared":
        bounds = np.cumsum([RATIO[name] for name in names]) * total // sum(RATIO.values())
        chosen = np.empty(total, np.int64)
        chosen[order] = np.searchsorted(bounds, np.arange(total), side="right")
    else:
        held = np.concatenate([indices[name] for name in splits])
        if unknown := int((held < 0).any(axis=1).sum()):
            raise UserError(
                f"{unknown:,} of {total:,} number images hold a digit image that the source has "
                "not, so digit images cannot be made disjoint; set config.data.digit_images=shared "
                "or choose the source that the images were made from."
            )
        if numbers == "shared":
            allowed = np.ones((total, len(names)), bool)
            weights = np.array([RATIO[name] for name in names])
        else:
            home = np.repeat([names.index(name) for name in splits], list(sizes.values()))
            allowed = home[:, None] == np.arange(len(names))
            weights = np.array([sizes[name] for name in names])
        chosen = _claim(held, allowed, weights, order)
    rows = {name: np.flatnonzero(chosen == position) for position, name in enumerate(names)}
    for name, part in rows.items():
        if not len(part):
            raise UserError(
                f"the protocol leaves no number image for {name}: choose another one with "
                "config.data.numbers and config.data.digit_images, or a larger dataset."
            )
    return rows


def take(splits: dict[str, Split], rows: Int64[np.ndarray, "n"]) -> Split:
    """Returns some of the images of all splits, counted through all of them.

    Exactly those of one split are that split itself; else they are copied, without a copy of the
    others.

    Args:
        splits: that hold the images.
        rows: which images, in rising order.
    """
    first = next(iter(splits.values()))
    images = np.empty((len(rows), *first.images.shape[1:]), np.uint8)
    labels = np.empty((len(rows), *first.labels.shape[1:]), np.int32)
    start = 0
    for split in splits.values():
        low, high = np.searchsorted(rows, (start, start + len(split)))
        if high - low == len(split) == len(rows):
            return split
        images[low:high] = split.images[rows[low:high] - start]
        labels[low:high] = split.labels[rows[low:high] - start]
        start += len(split)
    return Split(images, labels)


def _check_disjoint(splits: dict[str, Split], classes: Sequence[str]) -> None:
    seen = {}
    for name, split in splits.items():
        for number in map(tuple, np.unique(split.labels, axis=0)):
            if number in seen:
                raise UserError(
                    f"{seen[number]} and {name} both hold images of the number "
                    f"{numbers_of.text(number, classes)}; set config.data.numbers=shared or choose "
                    "a dataset whose numbers are disjoint."
                )
            seen[number] = name


def _claim(
    held: Int32[np.ndarray, "n digits"],
    allowed: Bool[np.ndarray, "n splits"],
    weights: Int64[np.ndarray, "splits"],
    order: Int64[np.ndarray, "n"],
) -> Int64[np.ndarray, "n"]:
    """Returns the split of each number image, -1 for a dropped one.

    Args:
        held: the digit images on each number image.
        allowed: which splits each number image may go to; the first one keeps what no other
            claims.
        weights: how large the splits should be relative to each other.
        order: a permutation; of number images that cost the same the first in it is taken.
    """
    owner = np.full(held.max(initial=-1) + 1, _UNCLAIMED)  # split of each digit image
    step = -(-len(held) // _STEPS)
    splits = np.arange(len(weights))
    with tqdm(desc="choosing digit images", unit=" steps", disable=None) as progress:
        while True:
            owners = owner[held][:, :, None]
            taken = allowed & (owners == splits).all(axis=1)
            possible = allowed & ((owners == splits) | (owners == _UNCLAIMED)).all(axis=1)
            kept = taken.sum(axis=0) / weights
            more = (possible & ~taken).any(axis=0)
            behind = int(np.where(more | (splits == 0), kept, np.inf).argmin())
            if behind == 0:
                return np.where(taken.any(axis=1), taken.argmax(axis=1), -1)
            candidates = order[(possible & ~taken)[order, behind]]
            others = np.delete(possible, behind, axis=1).any(axis=1)
            uses = np.bincount(held[others].ravel(), minlength=len(owner))
            cheapest = uses[held[candidates]].sum(axis=1).argsort(kind="stable")[:step]
            owner[held[candidates[cheapest]]] = behind
            progress.update()
