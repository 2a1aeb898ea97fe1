"""What `--mode` selects, one module a job, each with `run(config, arguments) -> exit status`."""

from ml_collections import ConfigDict

MODES = ("train", "evaluate", "predict", "audit")


def module(mode: str, config: ConfigDict) -> str:
    """Returns the name of the module that does a mode's job: mostly that of the mode."""
    return "textbook" if mode == "train" and config.textbook.parts else mode
