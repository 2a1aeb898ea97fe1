"""How cost grows: `python -m benchmarks.scale`.

It trains the network of `mnist3.config.numbers` on images composed from scikit-learn's digits, of
growing size in one respect at a time, each size in a process of its own, and writes the table
(`scale.md`, also printed), the plot (`scale.png`) and all numbers (`scale.json`) to
`benchmarks/results/`, with the exponent of a power law that is fitted to each: 1 is linear, 0 flat.

- Seconds: of a step, along `images` of an epoch; the least of all repetitions in at least 30 s
  (`--seconds`), since whatever else runs on the machine makes them longer only. Processor seconds
  are those of all cores together, which other work makes hardly longer: the exponent is theirs.
- Memory: what XLA plans for the program on each device, and the most that the process ever held,
  in which Python, JAX and the digits have some hundred MB.
- Devices are simulated, cores being as many as they are, so there only memory is measured, and
  the bytes of one step that are summed between them.

`--quick` does it with two small sizes each, in a minute or two.
"""

import dataclasses
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_DEVICES = "--xla_force_host_platform_device_count"
_BYTES = {"f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "u8": 1, "pred": 1}

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Size:
    """What is trained.

    Attributes:
        images: of an epoch, composed as it goes.
        side: of the square canvas of one digit, px; that of K digits is K times as wide.
        digits: K, of an image.
        batch: images of a step.
        devices: simulated.
    """

    images: int = 2048
    side: int = 28
    digits: int = 1
    batch: int = 128
    devices: int = 1


class Axis(NamedTuple):
    """A way to grow.

    Attributes:
        field: of `Size` that grows.
        title: in table and plot.
        base: the other fields.
        values: of the field.
        quick: values for --quick.
        power: of a value that cost is a power of: a canvas has side^2 pixels.
        unit: of the seconds: `step` or `epoch`.
    """

    field: str
    title: str
    base: Size
    values: tuple[int, ...]
    quick: tuple[int, int]
    power: int = 1
    unit: str = "step"


AXES = (
    Axis(
        "images",
        "images an epoch",
        Size(),
        (2048, 8192, 32768),
        (256, 1024),
        unit="epoch",
    ),
    Axis("side", "pixels", Size(images=64, batch=32), (28, 56, 112, 224, 512), (28, 56), power=2),
    Axis("digits", "digits K", Size(images=512), (1, 2, 4, 8), (1, 2)),
    Axis("batch", "batch", Size(), (16, 64, 256, 1024), (16, 64)),
    Axis("devices", "devices", Size(images=512), (1, 2, 4, 8), (1, 2)),
)


def config_of(size: Size) -> Any:
    """Returns the config of an experiment of a size, without augmentation."""
    from mnist3.config import numbers

    config = numbers()
    config.data.digits = size.digits
    config.data.numbers = "shared"
    config.data.height = size.side
    config.data.width = size.side * size.digits
    config.data.train_examples = size.images
    config.data.val_examples = config.data.test_examples = 1
    config.augmentation.update(dict.fromkeys(config.augmentation, 0))
    config.training.batch_size = size.batch
    return config


def measure(size: Size, least: float) -> dict[str, Any]:
    """Returns what an epoch of a size costs; called in a process of its own.

    Args:
        size: to measure.
        least: s to repeat it for; 0 to compile it alone.
    """
    import jax

    from mnist3 import tasks
    from mnist3.data import dataset as datasets
    from mnist3.training import program
    from mnist3.training.run import assemble

    config = config_of(size)
    dataset = datasets.load(config.data, None, "", images=False)
    task = tasks.create(config.task, dataset.classes, config.data.digits)
    run = assemble(config, task, size.images)
    state, key = run.initial_state(), program.put_everywhere(jax.random.key(0), run.mesh)
    data = program.put_everywhere(dataset.stream, run.mesh)
    epoch: Any = program.create_train_epoch(
        run.model, task, run.optimizer, config, run.steps, dataset.composition, run.mesh
    )
    compiled = epoch.lower(state, data, key).compile()
    planned = compiled.memory_analysis()
    seconds: list[float] = []
    processor_seconds: list[float] = []
    while sum(seconds) < least or (least and len(seconds) < 2):
        started = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(compiled(state, data, key))
        seconds.append(time.perf_counter() - started[0])
        processor_seconds.append(time.process_time() - started[1])
    return {
        **dataclasses.asdict(size),
        "steps": run.steps,
        "repetitions": len(seconds),
        "epoch_seconds": min(seconds, default=None),
        "epoch_processor_seconds": min(processor_seconds, default=None),
        "planned_bytes": planned.argument_size_in_bytes
        + planned.output_size_in_bytes
        + planned.temp_size_in_bytes
        - planned.alias_size_in_bytes,
        "process_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "exchanged_bytes": exchanged_bytes(compiled.as_text()),
    }


def exchanged_bytes(program: str) -> int:
    """Returns the bytes of the arrays that devices sum or gather, each operation counted once.

    Args:
        program: text of a compiled program, in HLO.
    """
    count = 0
    for line in program.splitlines():
        if match := re.search(r"= (.*?) (all-reduce|all-gather)(-start)?\(", line):
            for kind, shape in re.findall(r"(\w+)\[([\d,]*)\]", match[1]):
                count += _BYTES[kind] * int(np.prod([int(n) for n in shape.split(",") if n]))
    return count


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Returns the exponent of the power law that fits costs best, on logarithmic axes."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def measure_all(quick: bool, least: float) -> dict[str, list[dict[str, Any]]]:
    """Returns by axis what each of its sizes costs, each measured in a process of its own."""
    found: dict[str, list[dict[str, Any]]] = {}
    for axis in AXES:
        for value in axis.quick if quick else axis.values:
            size = dataclasses.replace(axis.base, **{axis.field: value})
            seconds = 0.0 if axis.field == "devices" else least
            others = [
                word for word in os.environ.get("XLA_FLAGS", "").split() if _DEVICES not in word
            ]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.scale", "--one", _as_json(size, seconds)],
                cwd=_ROOT,
                env=os.environ | {"XLA_FLAGS": " ".join([*others, f"{_DEVICES}={size.devices}"])},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found.setdefault(axis.field, []).append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{axis.title} {value}: {found[axis.field][-1]}", file=sys.stderr)
    return found


def _as_json(size: Size, seconds: float) -> str:
    return json.dumps({"size": dataclasses.asdict(size), "seconds": seconds})


def exponents(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Returns by axis the exponents of seconds, where there are some, and of planned memory."""
    fitted = {}
    for axis in AXES:
        rows = found[axis.field]
        sizes = [row[axis.field] ** axis.power for row in rows]
        fitted[axis.field] = {"memory": exponent(sizes, [row["planned_bytes"] for row in rows])}
        if axis.field != "devices":
            fitted[axis.field]["seconds"] = exponent(sizes, times(axis, rows))
    return fitted


def _seconds(axis: Axis, row: dict[str, Any], kind: str = "seconds") -> float:
    """Returns the seconds, or processor seconds, of a step or an epoch."""
    return row[f"epoch_{kind}"] / (row["steps"] if axis.unit == "step" else 1)


def as_markdown(found: dict[str, list[dict[str, Any]]], machine: dict[str, Any]) -> str:
    """Returns the table, under a line on the machine."""
    fitted = exponents(found)
    lines = [
        "Machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()) + ".",
        "",
        "| what grows | to | seconds | processor seconds | exponent | MB planned a device "
        "| exponent | MB of the process | kB summed between devices a step |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for axis in AXES:
        for place, row in enumerate(found[axis.field]):
            first = place == 0
            own = fitted[axis.field]
            timed = "seconds" in own
            cells = (
                axis.title if first else "",
                f"{row[axis.field]}^{axis.power}" if axis.power > 1 else f"{row[axis.field]:,}",
                f"{_seconds(axis, row):.3g} {'an' if axis.unit == 'epoch' else 'a'} {axis.unit}"
                if timed
                else "",
                f"{_seconds(axis, row, 'processor_seconds'):.3g}" if timed else "",
                f"{own['seconds']:z.2f}" if timed and first else "",
                f"{row['planned_bytes'] / 1e6:.1f}",
                f"{own['memory']:z.2f}" if first else "",
                f"{row['process_bytes'] / 1e6:.0f}",
                f"{row['exchanged_bytes'] / 1e3:.0f}" if axis.field == "devices" else "",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def times(axis: Axis, rows: list[dict[str, Any]]) -> list[float]:
    """Returns the processor seconds of sizes that were timed."""
    return [_seconds(axis, row, "processor_seconds") for row in rows if row["epoch_seconds"]]


def plot(found: dict[str, list[dict[str, Any]]], path: str) -> None:
    """Draws seconds and memory against size, each axis relative to its smallest, into a PNG."""
    from matplotlib.figure import Figure

    fitted = exponents(found)
    figure = Figure(figsize=(11, 5), layout="constrained")
    seconds, memory = figure.subplots(1, 2, sharex=True)
    largest = 1.0
    for axis in AXES:
        rows = found[axis.field]
        sizes = np.array([row[axis.field] ** axis.power for row in rows]) / (
            rows[0][axis.field] ** axis.power
        )
        largest = max(largest, sizes[-1])
        for axes, name, values in (
            (seconds, "seconds", times(axis, rows)),
            (memory, "memory", [row["planned_bytes"] for row in rows]),
        ):
            if name in fitted[axis.field]:
                label = f"{axis.title}: exponent {fitted[axis.field][name]:z.2f}"
                axes.loglog(sizes, np.array(values) / values[0], "o-", label=label)
    for axes, title in ((seconds, "Processor seconds"), (memory, "Memory planned on a device")):
        axes.plot((1, largest), (1, largest), color="0.7", lw=1, zorder=0)
        axes.set_title(f"{title}, of the smallest", loc="left")
        axes.set_xlabel("size, of the smallest (grey: linear)")
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120)


def write(
    found: dict[str, list[dict[str, Any]]], machine: dict[str, Any], folder: pathlib.Path
) -> None:
    """Writes table, plot and numbers into a folder, and prints the table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = as_markdown(found, machine)
    (folder / "scale.md").write_text(table)
    everything = {"machine": machine, "sizes": found, "exponents": exponents(found)}
    (folder / "scale.json").write_text(json.dumps(everything, indent=1) + "\n")
    plot(found, str(folder / "scale.png"))
    print(table)


def define_flags() -> None:
    """Defines the flags of the command."""
    flags.DEFINE_bool("quick", False, "Two small sizes each, and hardly any repetition.")
    flags.DEFINE_float("seconds", 30.0, "How long to repeat each size at least.")
    flags.DEFINE_string("output", str(_ROOT / "benchmarks" / "results"), "The folder to write.")
    flags.DEFINE_string("one", None, "A size to measure in this process, as JSON; for itself.")


def main(argv: Sequence[str]) -> None:
    """Measures all sizes and writes table, plot and numbers, or measures one and prints it."""
    del argv
    if FLAGS.one is not None:
        given = json.loads(FLAGS.one)
        print(json.dumps(measure(Size(**given["size"]), given["seconds"])))
        return
    from benchmarks import machine

    found = measure_all(FLAGS.quick, 1e-9 if FLAGS.quick else FLAGS.seconds)
    write(found, machine.describe(), pathlib.Path(FLAGS.output))


if __name__ == "__main__":
    from mnist3 import runtime

    runtime.prepare_process()
    define_flags()
    app.run(main)
