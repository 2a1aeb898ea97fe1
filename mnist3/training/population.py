"""Candidates whose numbers differ, trained in one program that reads the numbers as arguments."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3.training.optimizer import learning_rates, state_structure
from mnist3.varied import Varied, of_candidates

Numbers = dict[str, Any]  # what differs, with an axis of candidates; {} where nothing does

RATES = "rates"  # beside the fields: the learning rate of each step
_OF_RATES = ("optimizer.learning_rate", "optimizer.warmup")


def likeness(config: ConfigDict) -> str:
    """Returns a text that is the same for configs which one program can train side by side.

    They may differ in the seed, and in numbers that change no shapes (`config.variable`), unless
    one of these has some state because another one is not 0.

    Args:
        config: of a network.
    """
    free = ("seed", "wandb.", *configs.variable())
    fixed = {name: value for name, value in configs.fields(config) if not name.startswith(free)}
    averaged = config.training.ema_decay > 0
    return repr((fixed, averaged, state_structure(config.optimizer)))


def numbers_of(candidates: Sequence[ConfigDict], steps: int) -> Numbers:
    """Returns the numbers in which candidates differ, to be given to a program.

    The learning rates of all steps are computed before: they follow from a schedule that a Python
    number begins, and so are those of the candidate alone to the last bit.

    Args:
        candidates: configs that are alike.
        steps: of the whole training.
    """
    every = [dict(configs.fields(each)) for each in candidates]
    found: Numbers = {}
    for name in configs.variable():
        values = [each[name] for each in every]
        if len(set(values)) > 1:
            # A whole number, so that other values of as many candidates have the same program.
            found[name] = of_candidates(name, values, float(np.ceil(max(values))))
    if any(name in found for name in _OF_RATES):
        found[RATES] = learning_rates([each.optimizer for each in candidates], steps)
    return found


def about(config: ConfigDict, numbers: Numbers) -> dict[str, Any]:
    """Returns what a program of candidates is made from of their config.

    Args:
        config: of one of them.
        numbers: as an argument of the program, of which only their bounds are part of it.
    """
    shared = {name: each.largest for name, each in numbers.items() if isinstance(each, Varied)}
    free = ("seed", "wandb.", "population.")
    return {
        name: ("varied", shared[name]) if name in shared else value
        for name, value in configs.fields(config)
        if not name.startswith(free)
    }


def words(config: ConfigDict, numbers: Numbers) -> str:
    """Returns what a candidate has of its own, in words.

    Args:
        config: of the candidate.
        numbers: in which candidates differ.
    """
    values = dict(configs.fields(config))
    return " ".join(f"{name}={values[name]}" for name in numbers if name != RATES)


def with_numbers(config: ConfigDict, numbers: Numbers) -> ConfigDict:
    """Returns the config of a candidate, in a program that reads its numbers.

    Args:
        config: of one of the candidates.
        numbers: of the candidate, without the axis.
    """
    own = config.copy_and_resolve_references()
    with own.ignore_type():
        for name, number in numbers.items():
            if name != RATES:
                section, field = name.split(".")
                own[section][field] = number
    return own
