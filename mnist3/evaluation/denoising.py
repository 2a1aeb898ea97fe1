"""How well noise was removed from images, with 95 % intervals."""

import math
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8

from mnist3.evaluation.intervals import bootstrap_mean_interval, require_images

WHITE = 255  # the largest grey level


def squared_errors(
    clean: UInt8[np.ndarray, "n height width"], cleaned: Num[np.ndarray, "n height width"]
) -> np.ndarray:
    """Returns the mean squared error of each image, squared grey levels, float64 [n]."""
    difference = cleaned.astype(np.float32) - clean.astype(np.float32)
    return (difference**2).mean(axis=(1, 2), dtype=np.float64)


def denoise_metrics(
    clean: UInt8[np.ndarray, "n height width"],
    cleaned: Num[np.ndarray, "n height width"],
    seed: int = 0,
) -> dict[str, Any]:
    """Returns how far cleaned images are from the clean ones, as plain Python values.

    Args:
        clean: the images before noise was added.
        cleaned: what was made of the noisy ones, grey levels 0-255.
        seed: of the bootstrap.

    Returns:
        n: images.
        rmse, rmse_ci95: root of the mean squared error, grey levels; and its interval.
        psnr, psnr_ci95: peak signal-to-noise ratio, 20 log10(255 / rmse), dB; None for infinity,
            where images are cleaned to the last pixel.

    Raises:
        UserError: without any image.
    """
    n = require_images(len(clean))
    errors = squared_errors(clean, cleaned)
    low, high = (math.sqrt(end) for end in bootstrap_mean_interval(errors, seed))
    rmse = math.sqrt(errors.mean())
    return {
        "n": n,
        "rmse": rmse,
        "rmse_ci95": [low, high],
        "psnr": _psnr(rmse),
        "psnr_ci95": [_psnr(high), _psnr(low)],
    }


def _psnr(rmse: float) -> float | None:
    return 20 * math.log10(WHITE / rmse) if rmse else None
