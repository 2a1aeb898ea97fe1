"""What stands in the cells of a CSV file."""

import numpy as np

DECIMALS = 6


def confidence_text(value: float | np.floating) -> str:
    """Returns a probability with six decimals, with more where these would make it certain.

    What is below 1 never reads as 1, what is above 0 never as 0, and a larger value never reads as
    a smaller one: 0.94, 0.99999996 and 3.2e-9 are 0.940000, 0.99999996 and 3.2e-09.

    Args:
        value: 0 to 1, or not a number.
    """
    value = float(value)
    text = f"{value:.{DECIMALS}f}"
    if float(text) == 0 < value:
        return f"{value:.1e}"
    decimals = DECIMALS
    while value < 1 == float(text):
        decimals += 1
        text = f"{value:.{decimals}f}"
    return text
