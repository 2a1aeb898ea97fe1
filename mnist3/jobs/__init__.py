"""What `--mode` selects, one module a job, each with `run(config, arguments) -> exit status`."""

from ml_collections import ConfigDict

MODES = ("train", "evaluate", "predict", "audit")


def job_of(mode: str, config: ConfigDict) -> str:
    """Returns the name of the module here that does what a mode asks for with a config."""
    if config.data.name == "tabular":
        return {"train": "tabular", "predict": "tabular_predict"}.get(mode, mode)
    if config.textbook.parts:
        return {"train": "textbook", "evaluate": "textbook"}.get(mode, mode)
    return mode
