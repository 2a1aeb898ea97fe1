"""Experiments by the text that names them on a command line."""

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
    words = ["", f"--config={experiment}", *changes]
    values = flags.FlagValues()
    held = config_flags.DEFINE_config_file(
        "config", None, "The experiment.", flag_values=values, sys_argv=words
    )
    values(words)
    held.value.items()  # raises what went wrong when the file was loaded
    return held.value
