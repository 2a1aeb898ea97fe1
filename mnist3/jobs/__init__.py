"""What `--mode` selects, one module a job, each with `run(config, arguments) -> exit status`."""

from ml_collections import ConfigDict

from mnist3.errors import UserError

MODES = ("train", "evaluate", "predict", "audit", "compare")

# The module of each mode, by what is run. To evaluate a study is to run it again: its fits and the
# models below its folder are kept, so that it writes the same files anew.
_JOBS = {
    "numbers": {mode: mode for mode in MODES},
    "a task of one digit": {"train": "fit", "evaluate": "fit", "audit": "audit"},
    "a table": {"train": "tabular", "evaluate": "tabular", "predict": "tabular_predict"},
    "a comparison": {"compare": "compare", "evaluate": "compare"},
}


def job_of(mode: str, config: ConfigDict) -> str:
    """Returns the name of the module here that does what a mode asks for with a config.

    Raises:
        UserError: if the mode is not for what the config runs.
    """
    what = _what(config)
    if mode not in _JOBS[what]:
        modes = " or ".join(f"--mode={each}" for each in _JOBS[what])
        raise UserError(f"--mode={mode} is not for {what}; run it with {modes}.")
    return _JOBS[what][mode]


def _what(config: ConfigDict) -> str:
    if config.data.name == "tabular":
        return "a table"
    if config.compare.experiments:
        return "a comparison"
    return "a task of one digit" if config.task.name != "number" else "numbers"
