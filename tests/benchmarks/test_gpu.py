"""The measurements for a GPU, with little data on what is at hand."""

import json
import re
import sys
from typing import Any

import jax
import numpy as np
import pytest

from benchmarks import gpu
from experiments import mnist_speed
from mnist3 import tasks
from mnist3.data.sources import DigitSource
from mnist3.errors import UserError
from mnist3.training import loop, program


@pytest.fixture
def tiny(monkeypatch):
    """Networks so small that the measurements take seconds."""
    config_of = mnist_speed.get_config

    def small(argument=""):
        config = config_of(argument)
        config.model.name, config.model.members = "logistic", 1
        config.model.channels, config.evaluation.shift = (4,), 0
        config.training.batch_size = 256
        return config

    rng, digits = np.random.default_rng(0), np.arange(800, dtype=np.int32) % 10
    pixels = rng.integers(0, 100, (800, 28, 28), np.uint8) + 15 * digits[:, None, None]
    classes = tuple(map(str, range(10)))
    source = DigitSource("mnist", pixels.astype(np.uint8), digits, 200, "unused", classes)
    monkeypatch.setattr(gpu, "load_source", lambda *arguments: source)
    monkeypatch.setattr(mnist_speed, "get_config", small)
    monkeypatch.setattr(gpu, "TIMED", 2)


def test_the_lines_and_the_table(tiny, tmp_path, monkeypatch, capsys):
    command = ["gpu", f"--output={tmp_path}", "--tiny"]
    monkeypatch.setattr(sys, "argv", [*command, "--only=machine,lines,population"])
    gpu.main()
    lines = [json.loads(line) for line in (tmp_path / "gpu.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == [
        "machine",
        *(f"MNIST, line of {line} %" for line in mnist_speed.LINES),
        "MNIST, 8 seeds of the 99.0 % line in one program",
    ]
    for line in lines[1:4]:
        assert line["accuracy"]["n"] == line["together"]["replicates"] == 4
        assert line["range"][0] <= line["seconds"] <= line["range"][1]
        assert line["accuracy"]["lowest"] <= line["accuracy"]["mean"] <= line["accuracy"]["highest"]
    table = (tmp_path / "gpu.md").read_text()
    assert table in capsys.readouterr().out
    assert len(table.splitlines()) == 2 + len(lines)
    assert all(line.count("|") == 6 for line in table.splitlines())


def test_seeds_of_one_program_are_those_of_another(tiny):
    train, test = gpu.mnist("unused", True)
    examples = tasks.Examples(train.images, train.labels)
    run = gpu.assembled(mnist_speed.get_config(), len(train), (0, 1), True)
    both = gpu.outcomes(run, gpu.Trainer(run, examples).fit((5, 6)).params, test)
    alone = gpu.assembled(mnist_speed.get_config(), len(train), (0,), True)
    trainer = gpu.Trainer(alone, examples)
    each = [gpu.outcomes(alone, trainer.fit((seed,)).params, test)[0] for seed in (5, 6)]
    np.testing.assert_array_equal(both, each)


def test_a_measurement_that_is_none_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", f"--output={tmp_path}", "--only=line"])
    with pytest.raises(SystemExit):
        gpu.main()
    assert "it takes machine, lines" in capsys.readouterr().err


@pytest.mark.parametrize("line", mnist_speed.LINES)
def test_a_line_lowers_for_cuda(line):
    run = gpu.assembled(mnist_speed.get_config(f"line={line}"), 1024, (0, 1), False)
    begin: Any = program.create_begin_epoch(run.config, run.steps, None, run.mesh)
    train: Any = program.create_train_segment(
        run.model, run.task, run.optimizer, run.config, run.steps, None, run.mesh
    )
    rows = 1024
    data = tasks.Examples(
        jax.ShapeDtypeStruct((rows, 28, 28), np.uint8), jax.ShapeDtypeStruct((rows, 1), np.int32)
    )
    states = jax.eval_shape(lambda: jax.vmap(run.create_state)(jax.random.split(jax.random.key(0))))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0)))
    begun, measured = jax.eval_shape(begin, data, keys), loop.Part.nothing(run).measured
    step = jax.ShapeDtypeStruct((), np.int32)
    exported = jax.export.export(train, platforms=["cuda"])(
        states, measured, data, begun, step, step
    )
    assert exported.platforms == ("cuda",)
    assert re.search(r"stablehlo\.convolution|stablehlo\.dot_general", exported.mlir_module())


def test_a_line_that_is_none_is_named():
    with pytest.raises(UserError, match=r"take 99\.0, 99\.5, 99\.7"):
        mnist_speed.get_config("line=98")
