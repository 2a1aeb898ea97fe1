"""Who takes part in the benchmark, and in what.

A candidate is one function `fit(data_dir, seed, report)`, named here as `module:function` so that
only the process of its own fit imports it, with the libraries behind it. It loads its arrays from
the folder `data_dir`, then trains, and tells `report` (see `benchmarks.report`) when it does so and
what came of it:

    def mnist_speed(data_dir: str, seed: int, report: Report) -> None:
        train, test = ...                       # arrays in memory: not counted
        report.start()
        params = jax.block_until_ready(...)     # counted, compilation included
        report.stop()
        report.add(accuracy)                    # between stop and start: not counted

A candidate that is measured on its way as well starts, stops and adds many times over.
"""

import dataclasses
import importlib.util
from collections.abc import Iterable

from mnist3.errors import UserError

FITTING = "of fitting, without evaluation"
_COMMAND_CLOCK = "from start to prompt"


@dataclasses.dataclass(frozen=True)
class Task:
    """What candidates are compared on.

    Attributes:
        title: above the plot and the table.
        metric: what `accuracy` is here.
        target: the accuracy that `seconds to target` counts to.
        reference: the candidate that has the ratio 1.
        clock: what the seconds are of.
    """

    title: str
    metric: str
    target: float
    reference: str
    clock: str = FITTING


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One row of the table.

    Attributes:
        title: in the table and the plot.
        task: a key of `TASKS`.
        fit: the function to call, as `module:function`.
        code: files and folders, from the root of the repository, that the fit depends on: a change
            in one makes its earlier results void.
        library: that does the arithmetic, `jax` or `torch`.
        seeds: how many fits, with the seeds 0, 1, ...
        cache: state of JAX's compilation cache before each fit: `cold` (empty) or `warm` (the
            same function was fitted before); None without one.
    """

    title: str
    task: str
    fit: str
    code: tuple[str, ...]
    library: str
    seeds: int
    cache: str | None = None


TASKS = {
    "mnist": Task("MNIST", "test accuracy", 0.99, "p1_channels_last"),
    "triple_mnist": Task("Triple MNIST", "val exact match", 0.90, "triple_mnist_speed"),
    "mnist_command": Task(
        "MNIST, whole commands", "test accuracy", 0.99, "p1_script", _COMMAND_CLOCK
    ),
    "quickstart_command": Task(
        "Embedded digits, the whole command",
        "test exact match",
        0.95,
        "quickstart_command",
        _COMMAND_CLOCK,
    ),
    "predict_command": Task(
        "One picture read by the network of quickstart, the whole command",
        "pictures read right",
        1.0,
        "predict_command",
        _COMMAND_CLOCK,
    ),
}

_OURS = ("mnist3", "experiments", "benchmarks/recipes.py")
_COMMAND = (*_OURS, "launch.py")
_PEERS = ("benchmarks/peers.py",)

# Our own fits are the functions of benchmarks/recipes.py. Cold stands before warm: its first fit
# fills the cache for those.
CANDIDATES = {
    "mnist_speed_cold": Candidate(
        "mnist3, mnist_speed, cold cache",
        "mnist",
        "benchmarks.recipes:mnist_speed",
        _OURS,
        "jax",
        2,
        "cold",
    ),
    "mnist_speed": Candidate(
        "mnist3, mnist_speed", "mnist", "benchmarks.recipes:mnist_speed", _OURS, "jax", 10, "warm"
    ),
    "mnist_speed_command_cold": Candidate(
        "mnist3, launch.py on mnist_speed, cold cache",
        "mnist_command",
        "benchmarks.recipes:mnist_speed_command",
        _COMMAND,
        "jax",
        2,
        "cold",
    ),
    "mnist_speed_command": Candidate(
        "mnist3, launch.py on mnist_speed",
        "mnist_command",
        "benchmarks.recipes:mnist_speed_command",
        _COMMAND,
        "jax",
        5,
        "warm",
    ),
    "p1_script": Candidate(
        "P1 as a script, channels-last",
        "mnist_command",
        "benchmarks.peers:p1_script",
        (*_PEERS, "benchmarks/p1_script.py"),
        "torch",
        5,
    ),
    "quickstart_command": Candidate(
        "mnist3, launch.py on quickstart",
        "quickstart_command",
        "benchmarks.recipes:quickstart_command",
        _COMMAND,
        "jax",
        3,
        "warm",
    ),
    "predict_command": Candidate(
        "mnist3, --mode=predict",
        "predict_command",
        "benchmarks.recipes:predict_command",
        _COMMAND,
        "jax",
        3,
        "warm",
    ),
    "mnist_line_99_5_cold": Candidate(
        "mnist3, mnist_speed:line=99.5, cold cache",
        "mnist",
        "benchmarks.recipes:mnist_line_99_5",
        _OURS,
        "jax",
        1,
        "cold",
    ),
    "mnist_line_99_5": Candidate(
        "mnist3, mnist_speed:line=99.5",
        "mnist",
        "benchmarks.recipes:mnist_line_99_5",
        _OURS,
        "jax",
        10,
        "warm",
    ),
    "mnist_line_99_7_cold": Candidate(
        "mnist3, mnist_speed:line=99.7, cold cache",
        "mnist",
        "benchmarks.recipes:mnist_line_99_7",
        _OURS,
        "jax",
        1,
        "cold",
    ),
    "mnist_line_99_7": Candidate(
        "mnist3, mnist_speed:line=99.7",
        "mnist",
        "benchmarks.recipes:mnist_line_99_7",
        _OURS,
        "jax",
        10,
        "warm",
    ),
    "p1_channels_last": Candidate(
        "P1 train_mnist_fast, channels-last",
        "mnist",
        "benchmarks.peers:p1_channels_last",
        _PEERS,
        "torch",
        10,
    ),
    "p1": Candidate(
        "P1 train_mnist_fast, NCHW", "mnist", "benchmarks.peers:p1", _PEERS, "torch", 3
    ),
    "p2": Candidate("P2 PyTorch example", "mnist", "benchmarks.peers:p2", _PEERS, "torch", 1),
    "triple_mnist_speed_cold": Candidate(
        "mnist3, triple_mnist_speed, cold cache",
        "triple_mnist",
        "benchmarks.recipes:triple_mnist_speed",
        _OURS,
        "jax",
        2,
        "cold",
    ),
    "triple_mnist_speed": Candidate(
        "mnist3, triple_mnist_speed",
        "triple_mnist",
        "benchmarks.recipes:triple_mnist_speed",
        _OURS,
        "jax",
        3,
        "warm",
    ),
    "p3": Candidate(
        "P3 triple_mnist_with_cnn", "triple_mnist", "benchmarks.peers:p3", _PEERS, "torch", 1
    ),
}


LONG = (  # minutes a fit on two cores: `benchmarks.lines`
    "mnist_line_99_5_cold",
    "mnist_line_99_5",
    "mnist_line_99_7_cold",
    "mnist_line_99_7",
    "p2",
    "p3",
)
USUAL = tuple(name for name in CANDIDATES if name not in LONG)


def select(names: Iterable[str]) -> dict[str, Candidate]:
    """Returns the named candidates, whose modules and libraries are checked to be there.

    Raises:
        UserError: a name is unknown, or a module or a library is missing.
    """
    chosen = {}
    for name in names:
        if name not in CANDIDATES:
            raise UserError(
                f"unknown candidate {name!r} in --candidates: use some of {', '.join(CANDIDATES)}"
            )
        candidate = CANDIDATES[name]
        module, function = candidate.fit.split(":")
        if importlib.util.find_spec(module) is None:
            raise UserError(
                f"candidate {name} needs the module {module} with the function "
                f"{function}(data_dir, seed, report): add it, or leave {name} out of --candidates"
            )
        if importlib.util.find_spec(candidate.library) is None:
            raise UserError(
                f"candidate {name} needs {candidate.library}: run pip install --requirement "
                "benchmarks/requirements.lock, as make bench does"
            )
        chosen[name] = candidate
    return chosen
