"""Sweeps: many trials of one experiment, each with other values of some fields of its config.

An experiment defines one with `get_sweep(argument)`, in the words of this package:

    Sweep({"optimizer.learning_rate": Range(1e-3, 1e-2, log=True)}, method="random", trials=20)

`study` hands out trials and keeps what they reach, with Optuna; `swept` is what is known of them.
"""

from mnist3.sweeps.definition import Choices, Hyperband, Range, Sweep

__all__ = ["Choices", "Hyperband", "Range", "Sweep"]
