"""What a GPU does: MNIST's lines over many seeds, triple MNIST, and reading, in one command.

    python -m benchmarks.gpu --data_dir=FOLDER --output=FOLDER

needs MNIST's four files in the folder, `torch` for the peer alone, and no network. It takes a few
minutes on one GPU, prints a line as each measurement is done and writes them to `gpu.jsonl`, and
the table of all to `gpu.md`. `--only=lines,reading` measures some; `--tiny` takes little data and
few steps, to try it on a CPU.

A fit's seconds are those from uint8 arrays in memory to trained parameters, its program compiled;
compiling stands beside them. Test images are read once the recipe is fixed, never to choose it.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import step
from benchmarks.report import Report
from experiments import mnist_speed, strict
from mnist3 import tasks
from mnist3.data import dataset as datasets
from mnist3.data.sources import load_source
from mnist3.data.splits import Split
from mnist3.training import loop, program
from mnist3.training.run import Run, assemble, keys_of

SEEDS = 30
POPULATION = 100
TIMED = 5  # fits of one seed each, of which the median counts; fewer where they take long
TIMED_SECONDS = 15.0


class Trained(NamedTuple):
    """What training replicates in one program gave.

    Attributes:
        params: to read with, on the devices, with an axis of replicates first.
        compile_seconds: of the program.
        seconds: of the fit.
    """

    params: Any
    compile_seconds: float
    seconds: float


class Trainer:
    """A training program of some replicates, compiled once and run with any seeds."""

    def __init__(self, run: Run, data: Any, layout: Any = None):
        self._run, self._data = run, data
        self._create_state = jax.jit(run.create_state)
        states, keys = self._arguments(run.seeds)
        placed = program.put_everywhere(data, run.mesh)
        started = time.perf_counter()
        self._segments = loop.Segments(run, layout, placed, states, keys[0])
        self._compile_seconds = time.perf_counter() - started

    def fit(self, seeds: Sequence[int]) -> Trained:
        """Trains one replicate a seed; as many as the program was compiled for."""
        started = time.perf_counter()
        states, keys = self._arguments(seeds)
        self._segments.data = program.put_everywhere(self._data, self._run.mesh)
        for key in keys:
            nothing, begun = loop.Part.nothing(self._run), self._segments.begin(key)
            states, _ = self._segments.take(states, nothing, begun)
        jax.block_until_ready(states)
        seconds = time.perf_counter() - started
        return Trained(states.inference_params, self._compile_seconds, seconds)

    def _arguments(self, seeds: Sequence[int]) -> tuple[Any, list[jax.Array]]:
        """Returns states, and the replicates' keys of each epoch."""
        epochs, mesh = self._run.epochs, self._run.mesh
        pairs = [keys_of(seed) for seed in seeds]
        states = program.stack([self._create_state(key) for key, _ in pairs], mesh)
        keys = [
            program.stack([jax.random.fold_in(key, epoch) for _, key in pairs], mesh)
            for epoch in range(epochs)
        ]
        return states, keys


def outcomes(run: Run, params: Any, held_out: Split) -> np.ndarray:
    """Returns the exact match of each replicate on a split, float64 [replicates]."""
    shift = run.config.evaluation.shift
    read_split = program.create_read_split(run.model, run.task, run.mesh, shift)
    on_device = program.put_split(held_out.images, held_out.labels, run.mesh)
    read = jax.device_get(read_split(params, on_device, len(held_out)))
    each = [jax.tree.map(lambda leaf, i=i: leaf[i], read) for i in range(len(run.seeds))]
    return np.asarray([run.task.outcomes(held_out.labels, one).mean() for one in each])


def mnist(data_dir: str, tiny: bool) -> tuple[Split, Split]:
    """Returns MNIST's 60,000 training images and its 10,000 test images, or some of them."""
    source = load_source("mnist", data_dir)
    first = len(source.images) - source.official_test
    images, labels = source.images, source.labels[:, None]
    train, test = Split(images[:first], labels[:first]), Split(images[first:], labels[first:])
    if tiny:
        train, test = (Split(split.images[:2048], split.labels[:2048]) for split in (train, test))
    return train, test


def assembled(config: ConfigDict, images: int, seeds: Sequence[int], tiny: bool) -> Run:
    """Returns the parts of a training of replicates with so many images an epoch."""
    if tiny:
        config.training.epochs = 1
    task = tasks.create(config.task, positions=config.data.digits)
    return assemble(config, task, images, tuple(seeds))


def summary(values: np.ndarray) -> dict[str, Any]:
    """Returns mean, standard deviation and extremes of accuracies."""
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    ends = {"lowest": float(values.min()), "highest": float(values.max())}
    return {"n": len(values), "mean": float(values.mean()), "std": deviation, **ends}


def machine(data_dir: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Measures the card: rates of a matrix product of 8192 x 8192, TFLOP/s."""
    size = 512 if tiny else 8192
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax")}
    rates = {}
    for name, dtype, precision in (
        ("float32", jnp.float32, None),
        ("float32, exact", jnp.float32, "highest"),
        ("bfloat16", jnp.bfloat16, None),
    ):
        factors = jax.random.normal(jax.random.key(0), (2, size, size), dtype)
        product = jax.jit(functools.partial(jnp.matmul, precision=precision))
        seconds = repeated(functools.partial(product, *factors), 20)
        rates[name] = 2 * size**3 / statistics.median(seconds) / 1e12
    device = jax.devices()[0]
    yield {
        "what": "machine",
        "device": f"{jax.device_count()} x {device.device_kind}",
        "platform": device.platform,
        "versions": versions,
        "tflops": rates,
    }


def repeated(call: Callable[[], Any], times: int) -> list[float]:
    """Returns the seconds of calls of a compiled program, the first one left out."""
    seconds = []
    for _ in range(1 + times):
        started = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def lines(data_dir: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Fits each line of MNIST: single fits for the seconds, replicates for the accuracy."""
    train, test = mnist(data_dir, tiny)
    for line in mnist_speed.LINES:
        config = mnist_speed.get_config(f"line={line}")
        seeds = range(4 if tiny else SEEDS)
        examples = tasks.Examples(train.images, train.labels)
        alone = Trainer(assembled(config, len(train), (0,), tiny), examples)
        alone.fit((0,))
        single: list[Trained] = []
        while len(single) < TIMED and sum(fit.seconds for fit in single) < TIMED_SECONDS:
            single.append(alone.fit((len(single),)))
        run = assembled(config, len(train), seeds, tiny)
        together = Trainer(run, examples).fit(seeds)
        seconds = [fit.seconds for fit in single]
        yield {
            "what": f"MNIST, line of {line} %",
            "seconds": statistics.median(seconds),
            "range": [min(seconds), max(seconds)],
            "compile_seconds": single[0].compile_seconds,
            "accuracy": summary(outcomes(run, together.params, test)),
            "together": {
                "replicates": len(run.seeds),
                "seconds": together.seconds,
                "compile_seconds": together.compile_seconds,
            },
        }


def population(data_dir: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Fits 100 seeds of the fastest line in one program."""
    train, test = mnist(data_dir, tiny)
    seeds = range(8 if tiny else POPULATION)
    run = assembled(mnist_speed.get_config(), len(train), seeds, tiny)
    trainer = Trainer(run, tasks.Examples(train.images, train.labels))
    trainer.fit(seeds)
    fitted = trainer.fit(seeds)
    yield {
        "what": f"MNIST, {len(seeds)} seeds of the 99.0 % line in one program",
        "seconds": fitted.seconds,
        "compile_seconds": fitted.compile_seconds,
        "accuracy": summary(outcomes(run, fitted.params, test)),
    }


def triple_mnist(data_dir: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Trains on triple MNIST's layout, composed; reads numbers and digit images never seen."""
    measured = step.measure()
    yield {"what": "step of triple_mnist", "tflops": measured["gflops"] / 1e3, **measured}
    config = strict.get_config()
    if tiny:
        config.data.train_examples = 1024
        config.data.val_examples = config.data.test_examples = 256
    dataset = datasets.load(config.data, data_dir, "unused")
    seeds = range(3)
    run = assembled(config, config.data.train_examples, seeds, tiny)
    fitted = Trainer(run, dataset.stream, dataset.composition).fit(seeds)
    yield {
        "what": "strict, three seeds in one program",
        "seconds": fitted.seconds,
        "compile_seconds": fitted.compile_seconds,
        "accuracy": summary(outcomes(run, fitted.params, dataset.splits["test"])),
    }


def reading(data_dir: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Reads number images with the network of `strict`, as it stands on the device."""
    run = assembled(strict.get_config(), 1024, (0,), tiny)
    params = run.initial_state().params
    images = np.random.default_rng(0).integers(0, 256, (512 if tiny else 50_000, 84, 84), np.uint8)
    batches = program.batched(images, run.mesh)
    for shift in (0, run.config.evaluation.shift):
        compute_logits = program.create_compute_logits(run.model, run.mesh, shift)
        call = functools.partial(compute_logits, params, batches)
        seconds = statistics.median(repeated(call, 5))
        yield {
            "what": f"reading 84 x 84, each image {(2 * shift + 1) ** 2} times",
            "images_per_second": len(images) / seconds,
        }


def peer(data_dir: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Fits P1 on the same card, where torch is there and sees it."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    from benchmarks.peers import fit_p1

    if not torch.cuda.is_available() and not tiny:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = mnist(data_dir, tiny)
    for channels_last in (True, False):
        fits = []
        for seed in range(2 if tiny else 1 + 2 * TIMED):
            report = Report()
            fit_p1(train, test, seed, report, channels_last, device)
            fits.append(report.curve[-1])
        seconds = [point.seconds for point in fits[1:]]
        layout = "channels-last" if channels_last else "NCHW"
        yield {
            "what": f"P1, {layout}, torch {torch.__version__}",
            "seconds": statistics.median(seconds),
            "range": [min(seconds), max(seconds)],
            "accuracy": summary(np.asarray([point.accuracy for point in fits[1:]])),
        }


MEASUREMENTS: dict[str, Callable[[str, bool], Iterator[dict[str, Any]]]] = {
    "machine": machine,
    "lines": lines,
    "peer": peer,
    "population": population,
    "triple_mnist": triple_mnist,
    "reading": reading,
}


def table(measured: Sequence[dict[str, Any]]) -> str:
    """Returns the measurements as Markdown."""
    rows = ["| | seconds | compiling, s | accuracy | |", "| --- | --: | --: | --: | --- |"]
    for line in measured:
        accuracy, others = line.get("accuracy"), []
        if "together" in line:
            together = line["together"]
            others.append(f"{together['replicates']} seeds together {together['seconds']:.2f} s")
        if "images_per_second" in line:
            others.append(f"{line['images_per_second']:,.0f} images/s")
        if "milliseconds" in line:
            others.append(f"{line['milliseconds']:.2f} ms, {line['tflops']:.2f} TFLOP/s")
        if "device" in line:
            rates = ", ".join(f"{name} {rate:.0f}" for name, rate in line["tflops"].items())
            others.append(f"{line['device']}, jax {line['versions']['jax']}; TFLOP/s: {rates}")
        cells = [
            line["what"],
            f"{line['seconds']:.3f}" if "seconds" in line else "",
            f"{line['compile_seconds']:.1f}" if "compile_seconds" in line else "",
            f"{accuracy['mean']:.4f} ± {accuracy['std']:.4f} (n = {accuracy['n']})"
            if accuracy
            else "",
            "; ".join(others),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Takes the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data_dir", default=os.environ.get("MNIST3_DATA_DIR"))
    parser.add_argument("--output", required=True, help="folder for gpu.jsonl and gpu.md")
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="some, separated by commas")
    parser.add_argument("--tiny", action="store_true", help="little data and few steps")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = set(chosen) - MEASUREMENTS.keys()
    if unknown:
        parser.error(f"--only has {', '.join(unknown)}; it takes {', '.join(MEASUREMENTS)}")
    os.makedirs(arguments.output, exist_ok=True)
    measured = []
    with open(os.path.join(arguments.output, "gpu.jsonl"), "w") as file:
        for line in itertools.chain.from_iterable(
            MEASUREMENTS[name](arguments.data_dir, arguments.tiny) for name in chosen
        ):
            measured.append(line)
            for stream in (file, None):
                print(json.dumps(line), file=stream, flush=True)
    text = table(measured)
    with open(os.path.join(arguments.output, "gpu.md"), "w") as file:
        file.write(text)
    print(text)


if __name__ == "__main__":
    main()
