"""Experiments by the text that names them on a command line."""

import runpy
import shlex

from absl import flags
from ml_collections import ConfigDict, config_flags


def load(text: str) -> ConfigDict:
    """Returns the config of an experiment.

    Args:
        text: what stands behind --config= on a command line, and flags that change single values:
            "experiments/classify.py:estimator=knn --config.estimator.parameters.n_neighbors=3".

    Raises:
        Exception: whatever the experiment's file or the flags raise.
    """
    experiment, *changes = shlex.split(text)
    file, _, variants = experiment.partition(":")
    values = flags.FlagValues()
    held = config_flags.DEFINE_config_dict(
        "config",
        runpy.run_path(file)["get_config"](variants),
        flag_values=values,
        sys_argv=["", *changes],
    )
    values(["", *changes])
    return held.value
