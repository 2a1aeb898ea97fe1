"""What the command line says beside the config: its flags, and what is made of them."""

import dataclasses
import os
from typing import Any

from absl import flags

from mnist3 import jobs
from mnist3.sweeps import Sweep

_DEFINE = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    bool: flags.DEFINE_bool,
    tuple: flags.DEFINE_list,
}


def _flag(words: str, default: Any = None, kind: type | None = None, **limits: Any) -> Any:
    """Returns a field that a flag of its name sets.

    Args:
        words: what --help says of it.
        default: of the field and the flag.
        kind: of the values; that of the default if not given, and str where that is None.
        limits: of the values.
    """
    kind = kind or (str if default is None else type(default))
    told = {"define": _DEFINE[kind], "words": words, "limits": limits}
    return dataclasses.field(default=default, metadata=told)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The flags of `launch.py` that are not part of an experiment's config.

    Attributes:
        data_dir: folder with the data; None for a download.
        experiment: name of the config's file, without folder and ending.
        given: the flags that give the config.
        command: the command line that repeats this one.
        figures: which figures a run draws: `none`, `few` or `all`.
        figure_formats: of the figures; PNG is always one of them.
        sweep: sweep: what to search; None where nothing says it.
    """

    data_dir: str | None = None
    experiment: str = ""
    given: tuple[str, ...] = ()
    command: str = "python launch.py"
    figures: str = "all"
    figure_formats: tuple[str, ...] = ("png",)
    sweep: Sweep | None = None
    mode: str = _flag(f"The job: {', '.join(jobs.MODES)}.", "train")
    workdir: str | None = _flag("Folder of the run; a fresh one under runs/ if not given.")
    checkpoint: str = _flag(
        "For evaluate, predict, serve and export: best, latest or the number of an epoch.", "best"
    )
    replicate: str = _flag(
        "For predict, serve, export and evaluate on other data, with a run of several seeds: "
        "best, a seed, or ensemble.",
        "best",
    )
    images: str | None = _flag(
        "For predict: an image, a folder or a glob. For evaluate: a folder of pictures with a "
        "labels.csv (file,number), to measure reading on them."
    )
    on: str | None = _flag(
        "For evaluate: another experiment, on whose val and test the run is measured; in quotes "
        "with flags that change it."
    )
    table: str | None = _flag("For predict of a table: the CSV or Parquet file.")
    output: str | None = _flag(
        "The file to write: CSV for predict, JSON for audit; - for standard output. For evaluate "
        "with --on or --images: the folder, that of the run if not given. For export: the folder. "
        "For inspect: the folder, that of --workdir if not given; without either none is written."
    )
    formats: tuple[str, ...] = _flag(
        "For export: the formats to write the network in.",
        ("stablehlo", "onnx", "html"),
    )
    save_views: str | None = _flag(
        "For predict: a folder for views: what was found on each picture."
    )
    port: int = _flag(
        "For serve: the port to listen on; 0 for any that is free.",
        8000,
        lower_bound=0,
        upper_bound=65535,
    )
    host: str = _flag(
        "For serve: the address to listen on; 0.0.0.0 lets other machines in.", "127.0.0.1"
    )
    save_drawings: str | None = _flag(
        "For serve: a folder where the page saves pictures with the right number, in a labels.csv "
        "as evaluate reads it with --images."
    )
    trials: int | None = _flag(
        "For sweep: how many trials there are to be, with those that have ended; as the sweep says "
        "if not given.",
        kind=int,
        lower_bound=1,
    )
    storage: str | None = _flag(
        "For sweep: postgresql://USER:PASSWORD@HOST/DATABASE, which any number of the same command "
        "on any number of machines share; a file in the workdir, for one, if not given."
    )
    together: int = _flag(
        "For sweep: how many trials of a grid, or drawn at random, that differ in numbers alone "
        "a worker trains in one program at most.",
        8,
        lower_bound=1,
    )
    lines: bool = _flag(
        "For predict with strings: reads every line of a picture, a row each.",
        False,
    )
    allow_pickle: bool = _flag(
        "For predict and serve: also read the model of an older run, a pickle; reading one runs "
        "any code in it.",
        False,
    )
    profile: bool = _flag(
        "For train with a network: says where the time went, and leaves a trace of some steps in "
        "the folder of the run.",
        False,
    )


_FLAGS = tuple(each for each in dataclasses.fields(Arguments) if each.metadata)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags that are no field of a config."""
    for each in _FLAGS:
        default = list(each.default) if isinstance(each.default, tuple) else each.default
        define, limits = each.metadata["define"], each.metadata["limits"]
        define(each.name, default, each.metadata["words"], flag_values=values, **limits)

    def text(name: str, default: str | None, words: str) -> None:
        flags.DEFINE_string(name, default, words, flag_values=values)

    text(
        "config",
        None,
        "The experiment: a file, with variants behind a colon, as in "
        "experiments/triple_mnist.py:model=logistic; or the config.json of a run, to run it again. "
        "Single values: --config.section.field=value.",
    )
    text(
        "data_dir",
        os.environ.get("MNIST3_DATA_DIR"),
        "Folder with MNIST's four files (or mnist/ with them) and triple_mnist.zip; "
        "the environment variable MNIST3_DATA_DIR gives the default.",
    )
    text(
        "sweep",
        None,
        "For sweep: a sweep file of W&B, as in experiments/sweeps/, for an experiment without a "
        "get_sweep; its command names the experiment if --config does not.",
    )
    flags.DEFINE_list(
        "figures",
        ["all"],
        "Which figures to draw, none, few or all, and their formats beside PNG, which the page of "
        "the run shows: pdf, svg.",
        flag_values=values,
    )
    text(
        "joblib",
        None,
        "For train and compare with scikit-learn's estimators: dask:tcp://HOST:PORT, a Dask "
        "cluster that fits their folds and searches.",
    )
    flags.DEFINE_enum(
        "distributed",
        "auto",
        ["auto", "off"],
        "For train: whether the processes of a cluster train together, where this is one of them; "
        "off trains in this process alone.",
        flag_values=values,
    )
    text(
        "coordinator",
        None,
        "For train with others, where no cluster says it: host and port of the first process.",
    )
    flags.DEFINE_integer(
        "processes",
        None,
        "With --coordinator: how many processes there are.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "process",
        None,
        "With --coordinator: the number of this one, from 0.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_bool("help", False, "Shows this.", short_name="h", flag_values=values)


def arguments_of(values: flags.FlagValues, **others: Any) -> Arguments:
    """Returns what flags say, with the fields that several make, or none."""
    for each in _FLAGS:
        value = values[each.name].value
        others[each.name] = tuple(value) if isinstance(value, list) else value
    return Arguments(**others)
