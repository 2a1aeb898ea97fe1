"""What `--mode` selects, one module a job, each with `run(config, arguments) -> exit status`."""

from ml_collections import ConfigDict

from mnist3.config import population_of
from mnist3.errors import UserError

# The module of each mode, by kind of run. To evaluate a comparison is to compare again: fits and
# the models below its folder are kept, so that it writes the same files anew.
_OF_IMAGES = {
    "train": "run",
    "evaluate": "run",
    "predict": "predict",
    "serve": "serve",
    "audit": "audit",
    "inspect": "inspect",
    "export": "export",
    "sweep": "sweep",
}
_JOBS = {
    "numbers": _OF_IMAGES,
    "digits": _OF_IMAGES,
    "table": {
        "train": "compare",
        "compare": "compare",
        "evaluate": "compare",
        "predict": "predict_table",
        "inspect": "inspect",
    },
    "comparison": {
        "train": "compare",
        "compare": "compare",
        "evaluate": "compare",
        "predict": "predict",
        "export": "export",
        "serve": "serve",
    },
}
# Of a config with a population: its candidates train together and are compared.
_OF_POPULATIONS = {
    name: "population" if job == "run" else job for name, job in _OF_IMAGES.items()
} | {"compare": "population"}
MODES = tuple(dict.fromkeys(mode for jobs in _JOBS.values() for mode in jobs))


def job_of(mode: str, config: ConfigDict, elsewhere: bool = False) -> str:
    """Returns the name of the module here that does what a mode asks for with a config.

    Args:
        mode: one of `MODES`.
        config: of the run.
        elsewhere: whether other data than the run's own are to be evaluated on.

    Raises:
        UserError: if the mode is not for runs of this kind.
    """
    population = population_of(config)
    jobs = _OF_POPULATIONS if population else _JOBS[config.kind]
    if elsewhere:
        if config.kind == "table":
            raise UserError(
                "--on and --images measure what reads images, and this run is of a table; predict "
                "other rows with --mode=predict --table=FILE."
            )
        return "measure"
    if mode == "sweep" and population:
        raise UserError(
            f"config.population has values of {', '.join(population)}, and a sweep searches "
            "others; give these to the sweep too, or leave --mode=sweep out."
        )
    if mode not in jobs:
        modes = " or ".join(f"--mode={each}" for each in jobs)
        raise UserError(
            f"--mode={mode} is not for runs of kind {config.kind}; run it with {modes}."
        )
    return jobs[mode]
