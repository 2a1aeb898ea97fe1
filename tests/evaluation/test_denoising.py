import math

import numpy as np
import pytest
from sklearn.metrics import root_mean_squared_error

from mnist3.errors import UserError
from mnist3.evaluation.denoising import denoise_metrics


def test_error_and_signal_to_noise_ratio_of_noisy_images():
    random = np.random.default_rng(0)
    clean = random.integers(0, 100, (40, 28, 28), dtype=np.uint8)
    noisy = clean + random.integers(0, 100, clean.shape, dtype=np.uint8)
    result = denoise_metrics(clean, noisy)
    expected = root_mean_squared_error(clean.ravel().astype(float), noisy.ravel().astype(float))
    assert result["rmse"] == pytest.approx(expected)
    assert result["psnr"] == pytest.approx(10 * math.log10(255**2 / expected**2))
    for name in ("rmse", "psnr"):
        low, high = result[f"{name}_ci95"]
        assert low < result[name] < high


def test_a_perfect_cleaner_has_no_finite_ratio():
    clean = np.full((3, 28, 28), 7, np.uint8)
    result = denoise_metrics(clean, clean.astype(np.float32))
    assert result["rmse"] == 0
    assert result["psnr"] is None


def test_no_image_is_an_error_with_a_remedy():
    none = np.zeros((0, 28, 28), np.uint8)
    with pytest.raises(UserError, match="no image to evaluate"):
        denoise_metrics(none, none)
