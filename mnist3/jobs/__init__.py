"""What `--mode` selects, one module a job, each with `run(config, arguments) -> exit status`."""

from ml_collections import ConfigDict

from mnist3.errors import UserError

MODES = ("train", "evaluate", "predict", "audit", "compare")


def job_of(mode: str, config: ConfigDict) -> str:
    """Returns the name of the module here that does what a mode asks for with a config.

    Raises:
        UserError: if the config is to be compared, not trained.
    """
    if config.data.name == "tabular":
        return {"train": "tabular", "predict": "tabular_predict"}.get(mode, mode)
    if config.compare.experiments and mode == "train":
        raise UserError("config.compare.experiments is what --mode=compare does; set that mode.")
    if config.compare.experiments:
        return {"evaluate": "compare"}.get(mode, mode)
    if config.task.name != "number":
        return {"train": "fit", "evaluate": "fit"}.get(mode, mode)
    if config.textbook.parts:
        return {"train": "textbook", "evaluate": "textbook"}.get(mode, mode)
    return mode
