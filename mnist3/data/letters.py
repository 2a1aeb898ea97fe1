"""The embedded table: which letters' numbers a machine reads, and which a person has to.

The table is synthetic: no letter of it was ever sent. It has what makes real tables hard: missing
values in every spelling, some of which say something (the old scanner measures no contrast);
categories with rare levels; a column that only names the row; and labels that the columns do not
decide alone.
"""

import numpy as np
import pandas as pd

TARGET = "reader"
ROWS = 1_500
PENS = {  # share of the letters, how much harder it is to read
    "ballpoint": (0.50, 0.0),
    "felt-tip": (0.18, -0.8),
    "pencil": (0.15, 1.4),
    "fountain pen": (0.13, 0.3),
    "brush": (0.015, 1.6),
    "crayon": (0.015, 1.8),
    "rubber stamp": (0.01, -2.0),
}
COUNTRIES = ["DE", "FR", "IT", "ES", "PL", "NL", "SE", "PT", "GR", "IE", "FI", "MT"]


def table(seed: int = 0) -> pd.DataFrame:
    """Returns the table, cells as text; the same seed gives the same rows."""
    random = np.random.default_rng(seed)
    pens, shares, hardness = (list(PENS), *np.array(list(PENS.values())).T)
    pen = random.choice(len(pens), ROWS, p=shares / shares.sum())
    weights = 0.65 ** np.arange(len(COUNTRIES))
    country = random.choice(len(COUNTRIES), ROWS, p=weights / weights.sum())
    scanner = random.choice(["new", "middle", "old"], ROWS, p=(0.5, 0.3, 0.2))
    contrast = np.clip(random.normal(0.62, 0.17, ROWS) - 0.12 * (pen == 2), 0.05, 1)
    slant = random.normal(0, 14, ROWS)
    height = random.lognormal(np.log(5), 0.3, ROWS)
    width = np.clip(random.normal(0.55, 0.15, ROWS) + 0.5 * (pen == 1), 0.1, None)
    digits = random.integers(3, 10, ROWS)
    hour = random.integers(0, 24, ROWS)

    difficulty = (
        9 * (0.5 - contrast)
        + 0.006 * slant**2
        + 3.5 * np.maximum(0, 4.2 - height)
        + 0.5 * (digits - 6)
        + hardness[pen]
        + 1.2 * (scanner == "old")
        + 0.7 * np.isin(country, (2, 8))
    )
    by_person = difficulty + random.logistic(0, 0.6, ROWS) > 1.8

    def written(values: np.ndarray, decimals: int) -> np.ndarray:
        return np.array([f"{value:.{decimals}f}" for value in values], dtype=object)

    columns = {
        "letter": np.array([f"L{row:04d}" for row in range(ROWS)], dtype=object),
        "ink_contrast": written(contrast, 2),
        "slant_degrees": written(slant, 1),
        "digit_height_mm": written(height, 1),
        "stroke_width_mm": written(width, 2),
        "digits": written(digits, 0),
        "hour": written(hour, 0),
        "pen": np.array(pens, dtype=object)[pen],
        "country": np.array(COUNTRIES, dtype=object)[country],
        "scanner": scanner.astype(object),
    }
    columns["ink_contrast"][(scanner == "old") & (random.random(ROWS) < 0.7)] = "?"
    for name, missing, share in (
        ("stroke_width_mm", "", 0.08),
        ("slant_degrees", "NaN", 0.03),
        ("pen", "NA", 0.05),
        ("country", "?", 0.02),
    ):
        columns[name][random.random(ROWS) < share] = missing
    columns[TARGET] = np.where(by_person, "person", "machine").astype(object)
    return pd.DataFrame(columns)
