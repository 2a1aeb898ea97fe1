"""What `make bench` runs: us and the peers in turn, each fit in a process of its own.

Every fit is noted in `fits.jsonl` in the output folder as soon as it is done, and is not run again
by a later call unless its code, a library or the machine has changed, or with --fresh. From these
the numbers (`results.json`), the table (`results.md`) and the plot (`results.png`) are made.
"""

import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from absl import app, flags
from tqdm import tqdm

from benchmarks import machine, summary
from benchmarks.candidates import CANDIDATES, FITTING, TASKS, USUAL, Candidate, select
from benchmarks.fit import Fit
from mnist3 import runtime
from mnist3.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_TIMING_CODE = ("benchmarks/fit.py", "benchmarks/report.py")

FLAGS = flags.FLAGS

# Runs a candidate with a seed and a folder for compiled programs: fields of its `Fit`.
RunFit = Callable[[Candidate, int, str], dict[str, Any]]


def code_version(candidate: Candidate, root: pathlib.Path = _ROOT) -> str:
    """Returns a hash of what decides a candidate's result: its code, the libraries, the machine."""
    digest = hashlib.sha256(json.dumps(machine.describe()).encode())
    for name in (*candidate.code, *_TIMING_CODE):
        path = root / name
        for file in sorted(path.rglob("*.py") if path.is_dir() else path.parent.glob(path.name)):
            digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


class Log:
    """The fits done so far, one JSON object a line.

    Attributes:
        fits: all of them, also those of earlier versions of the code.
    """

    def __init__(self, path: pathlib.Path):
        self.fits: list[Fit] = []
        self._path = path
        if path.exists():
            for line in path.read_text().splitlines():
                # The last line of a killed call may be incomplete, those of older versions other.
                try:
                    self.fits.append(Fit(**json.loads(line)))
                except (json.JSONDecodeError, TypeError):
                    continue
        self._rewrite()

    def append(self, fit: Fit) -> None:
        """Notes a fit."""
        self.fits.append(fit)
        with open(self._path, "a") as file:
            file.write(_as_line(fit))

    def remove(self, names: Iterable[str]) -> None:
        """Forgets all fits of the named candidates."""
        names = set(names)
        self.fits = [fit for fit in self.fits if fit.candidate not in names]
        self._rewrite()

    def _rewrite(self) -> None:
        _write(self._path, "".join(map(_as_line, self.fits)))


def _as_line(fit: Fit) -> str:
    return json.dumps(dataclasses.asdict(fit)) + "\n"


def _write(path: pathlib.Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)


def schedule(chosen: dict[str, Candidate], seeds: int | None) -> Iterator[tuple[str, int]]:
    """Yields names and seeds, the candidates in turn, so that none has the machine's best hour."""
    numbers = {name: seeds or candidate.seeds for name, candidate in chosen.items()}
    for seed in range(max(numbers.values())):
        for name in chosen:
            if seed < numbers[name]:
                yield name, seed


def run_fits(
    chosen: dict[str, Candidate], seeds: int | None, log: Log, run_fit: RunFit, caches: str
) -> None:
    """Runs the fits that the log lacks and notes them there.

    Args:
        chosen: the candidates, by name.
        seeds: fits of each; None for its own number.
        log: of fits done.
        run_fit: runs one.
        caches: folder for the compiled programs of this call.
    """
    versions = {name: code_version(candidate) for name, candidate in chosen.items()}
    done = {(fit.candidate, fit.seed, fit.version) for fit in log.fits}
    wanted = [
        (name, seed)
        for name, seed in schedule(chosen, seeds)
        if (name, seed, versions[name]) not in done
    ]
    warm: dict[str, str] = {}
    with tqdm(wanted, unit=" fits", disable=None) as progress:
        for name, seed in progress:
            progress.set_description(f"{name}, seed {seed}")
            candidate = chosen[name]
            if candidate.cache == "warm" and candidate.fit not in warm:
                warm[candidate.fit] = tempfile.mkdtemp(dir=caches)
                run_fit(candidate, seed, warm[candidate.fit])
            fresh = candidate.cache != "warm"
            cache = tempfile.mkdtemp(dir=caches) if fresh else warm[candidate.fit]
            log.append(Fit(name, seed, versions[name], **run_fit(candidate, seed, cache)))
            if candidate.cache == "cold":
                warm.setdefault(candidate.fit, cache)


def _environment(cache: str) -> dict[str, str]:
    """Returns the environment of every fit, ours and the peers' alike."""
    return os.environ | {
        "GLIBC_TUNABLES": runtime.HUGE_PAGES,
        "JAX_COMPILATION_CACHE_DIR": cache,
    }


def _run_in_process(data_dir: str, candidate: Candidate, seed: int, cache: str) -> dict[str, Any]:
    """Runs a fit in a process of its own, and returns fields of its `Fit`.

    Raises:
        UserError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        process = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.fit"),
                *(candidate.library, candidate.fit, data_dir, str(seed), result),
            ],
            cwd=_ROOT,
            env=_environment(cache),
        )
        if process.returncode:
            raise UserError(
                f"the fit of {candidate.title} with seed {seed} failed with status "
                f"{process.returncode}: mend what is written above, then give the same command, "
                "which goes on from here"
            )
        with open(result) as file:
            return json.load(file)


def _measure_rates(caches: str) -> dict[str, float]:
    """Returns rates in GFLOP/s.

    They are those of a float32 matrix product by library, where installed, and of the training
    step of `experiments/triple_mnist.py`, under `step`.
    """

    def printed(*module: str) -> str:
        process = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=_ROOT,
            env=_environment(caches),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return process.stdout

    rates = {
        library: float(printed("benchmarks.machine", library))
        for library in ("jax", "torch")
        if importlib.util.find_spec(library) is not None
    }
    return rates | {"step": json.loads(printed("benchmarks.step"))["gflops"]}


def write_results(log: Log, rates: dict[str, float], output: pathlib.Path) -> str:
    """Writes numbers, table and plot of the fits of the present code, and returns the table."""
    versions = {name: code_version(candidate) for name, candidate in CANDIDATES.items()}
    fits = [fit for fit in log.fits if versions.get(fit.candidate) == fit.version]
    numbers = summary.summarise(fits, CANDIDATES, TASKS)
    description = machine.describe()
    results: dict[str, Any] = {
        "machine": description,
        "matrix_product_gflops": rates,
        "tasks": numbers,
        "fits": [dataclasses.asdict(fit) for fit in fits],
    }
    table = summary.as_markdown(numbers, description, rates)
    _write(output / "results.json", json.dumps(results, indent=1) + "\n")
    _write(output / "results.md", table)
    fitted = {key: task for key, task in numbers.items() if task["clock"] == FITTING}
    if fitted:
        partial = output / "results.partial.png"
        summary.plot(fitted, fits, CANDIDATES, str(partial))
        os.replace(partial, output / "results.png")
    return table


def bench(
    names: list[str], seeds: int | None, data_dir: str | None, output: pathlib.Path, fresh: bool
) -> str:
    """Runs what is wanted and not done yet, writes the results, and returns the table.

    Raises:
        UserError: the data or a candidate is missing, or a fit failed.
    """
    if data_dir is None or not os.path.isdir(data_dir):
        raise UserError(
            f"no data folder at {data_dir}: give --data_dir or MNIST3_DATA_DIR a folder with the "
            "files of MNIST and triple_mnist.zip"
        )
    chosen = select(names)
    output.mkdir(parents=True, exist_ok=True)
    log = Log(output / "fits.jsonl")
    if fresh:
        log.remove(chosen)
    with tempfile.TemporaryDirectory() as caches:
        rates = _measure_rates(caches)

        def run_fit(candidate: Candidate, seed: int, cache: str):
            return _run_in_process(os.path.abspath(data_dir), candidate, seed, cache)

        run_fits(chosen, seeds, log, run_fit, caches)
    return write_results(log, rates, output)


def define_flags() -> None:
    """Defines the flags of `main`, in its own process alone: launch.py has some of these names."""
    flags.DEFINE_list("candidates", list(USUAL), f"Who takes part, of {', '.join(CANDIDATES)}.")
    flags.DEFINE_integer(
        "seeds", None, "Fits of each candidate; its own number if not given.", lower_bound=1
    )
    flags.DEFINE_string(
        "data_dir",
        os.environ.get("MNIST3_DATA_DIR"),
        "Folder with MNIST's four files (or mnist/ with them) and triple_mnist.zip; "
        "the environment variable MNIST3_DATA_DIR gives the default.",
    )
    flags.DEFINE_string("output", str(_ROOT / "benchmarks" / "results"), "Folder of the results.")
    flags.DEFINE_boolean("fresh", False, "Run also what was run before.")


def main(argv: list[str]) -> int:
    """Runs the benchmark that the flags ask for and returns the exit status."""
    if argv[1:]:
        print(f"Error: unexpected argument {argv[1]!r}.", file=sys.stderr)
        return 1
    try:
        output = pathlib.Path(FLAGS.output)
        print(bench(FLAGS.candidates, FLAGS.seeds, FLAGS.data_dir, output, FLAGS.fresh))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    define_flags()
    app.run(main)
