"""From the command line to a run of the study."""

import os
import pathlib
import shlex

from absl import app, flags

import mnist3
from experiments.textbook import run as runs
from experiments.textbook.published import BOOK_SEED
from experiments.textbook.steps import PARTS
from mnist3 import exit_status
from mnist3.errors import UserError, nearest
from mnist3.jobs import workdir
from mnist3.learners import workers


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of the study. Their values can be read from `values` once parsed."""
    flags.DEFINE_string(
        "workdir",
        None,
        "Folder of the run; a fresh one under runs/ if not given.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "source",
        "mnist",
        "Where the digit images come from: mnist, or digits, which ship inside scikit-learn.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "parts",
        list(PARTS),
        "The parts of the study to run, separated by commas.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "images",
        0,
        "How many training images to keep, the first ones; 0 = all.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed",
        BOOK_SEED,
        "Of the noise, and of every estimator that draws at random.",
        lower_bound=0,
        upper_bound=2**32 - 1,  # of NumPy's legacy generator, which draws for all of them
        flag_values=values,
    )
    flags.DEFINE_string(
        "data_dir",
        os.environ.get("MNIST3_DATA_DIR"),
        "Folder with MNIST's four files (or mnist/ with them); the environment variable "
        "MNIST3_DATA_DIR gives the default.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "joblib",
        None,
        "A Dask cluster that fits folds and searches: dask:tcp://HOST:PORT.",
        flag_values=values,
    )


def parse(argv: list[str], values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Reads the flags from a command line and returns what is left, the program's name.

    Raises:
        UserError: names the first word that cannot be used and what to give instead.
    """
    try:
        rest = values(argv)
    except flags.Error as error:
        raise UserError(" ".join(str(error).split())) from error
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; values belong behind --flag=.")
    if not values.parts:
        raise UserError(f"--parts is empty; give some of {', '.join(PARTS)}.")
    for part in values.parts:
        if part not in PARTS:
            raise UserError(
                f"--parts has {part!r}; did you mean {nearest(part, PARTS)!r}? "
                f"It takes {', '.join(PARTS)}."
            )
    return rest


def settings(values: flags.FlagValues = flags.FLAGS) -> runs.Settings:
    """Returns what the flags say of a run's figures; the parts stand in the study's own order."""
    parts = tuple(part for part in PARTS if part in values.parts)
    return runs.Settings(values.source, parts, values.images, values.seed)


def main(argv: list[str]) -> int:
    """Runs the study as the flags ask for it and returns the exit status."""

    def job(rest: list[str]) -> None:
        del rest
        values = flags.FLAGS
        command = shlex.join(["python", "-m", "experiments.textbook", *argv[1:]])
        folder = values.workdir or workdir.fresh_workdir("textbook")
        with workers.fitted_by(values.joblib):
            runs.run(settings(values), folder, values.data_dir, command)

    package = pathlib.Path(mnist3.__file__).parent
    return exit_status.run(
        lambda: app.run(job, argv=argv, flags_parser=parse),
        logged=(package, pathlib.Path(__file__).parent),
    )
