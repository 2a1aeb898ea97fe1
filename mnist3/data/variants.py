"""Whole training sets made from others: as floats, standardised, with shifted copies, with noise.

Unlike augmentation these are made once and are the same for every estimator.
"""

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from mnist3.data.splits import Split

SHIFTS = {  # px down and to the right
    "as it is": (0, 0),
    "to the left": (0, -1),
    "to the right": (0, 1),
    "down": (1, 0),
    "up": (-1, 0),
}
COPIES = tuple(name for name, by in SHIFTS.items() if any(by))  # those that move


def pixels(images: UInt8[np.ndarray, "n height width"]) -> Float64[np.ndarray, "n pixels"]:
    """Returns grey levels 0-255, a row an image."""
    return images.reshape(len(images), -1).astype(np.float64)


def inked(images: UInt8[np.ndarray, "n height width"]) -> Float64[np.ndarray, "n inked"]:
    """Returns the pixels that have ink in some image; a linear model learns 0 for the others."""
    return images[:, images.any(axis=0)].astype(np.float64)


def standardised(images: UInt8[np.ndarray, "n height width"]) -> Float64[np.ndarray, "n inked"]:
    """Returns the pixels with ink, each of mean 0 and standard deviation 1 over all images."""
    from sklearn.preprocessing import StandardScaler  # scikit-learn takes seconds to import

    return StandardScaler(copy=False).fit_transform(inked(images))


def shift(
    images: UInt8[np.ndarray, "n height width"], down: int, right: int
) -> UInt8[np.ndarray, "n height width"]:
    """Moves images by whole pixels; zeros move in, as in `scipy.ndimage.shift`."""
    height, width = images.shape[1:]
    moved = np.zeros_like(images)
    moved[:, max(down, 0) : height + down, max(right, 0) : width + right] = images[
        :, max(-down, 0) : height - down, max(-right, 0) : width - right
    ]
    return moved


def shifted_copies(
    images: UInt8[np.ndarray, "n height width"],
) -> UInt8[np.ndarray, "n copies height width"]:
    """Returns each image as those of `COPIES` move it."""
    return np.stack([shift(images, *SHIFTS[name]) for name in COPIES], axis=1)


def with_shifted_copies(
    images: UInt8[np.ndarray, "n height width"], train: int
) -> UInt8[np.ndarray, "more height width"]:
    """Returns the first so many images as `SHIFTS` move them, then the others as they are.

    Args:
        images: those to copy first.
        train: how many they are.
    """
    sets = [shift(images[:train], down, right) for down, right in SHIFTS.values()]
    return np.concatenate([*sets, images[train:]])


def split_with_shifted_copies(split: Split) -> Split:
    """Returns the images of a split as `SHIFTS` move them, with their labels."""
    images = with_shifted_copies(split.images, len(split))
    return Split(images, np.tile(split.labels, (len(SHIFTS), 1)))


def moved_pixels(
    images: UInt8[np.ndarray, "n height width"], train: int
) -> Float32[np.ndarray, "more pixels"]:
    """Returns the images of `with_shifted_copies` as rows of grey levels."""
    moved = with_shifted_copies(images, train)
    return moved.reshape(len(moved), -1).astype(np.float32)


def noisy(
    images: UInt8[np.ndarray, "n height width"], largest: int, seed: int
) -> Float32[np.ndarray, "n pixels"]:
    """Adds an integer from 0 to the largest to every pixel; grey levels may exceed 255.

    The noise is that of NumPy's legacy generator, so that studies that drew with
    `np.random.seed(seed); np.random.randint(0, largest + 1, ...)` can be repeated.
    """
    drawn = np.random.RandomState(seed).randint(0, largest + 1, (len(images), images[0].size))
    return (images.reshape(len(images), -1) + drawn).astype(np.float32)
