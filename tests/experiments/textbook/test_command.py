"""The study's command line: its flags, and real processes with their files and exit statuses."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest
from absl import flags

from experiments.textbook import command
from experiments.textbook.run import Settings
from experiments.textbook.steps import PARTS
from mnist3.errors import UserError

ROOT = pathlib.Path(__file__).parents[3]


def parsed(*words):
    values = flags.FlagValues()
    command.define_flags(values)
    command.parse(["textbook", *words], values)
    return values


def test_without_flags_it_is_the_study_of_the_book():
    assert command.settings(parsed()) == Settings("mnist", PARTS, 0, 42)
    assert parsed().workdir is None


def test_parts_are_run_in_the_order_of_the_study_whatever_order_they_are_given_in():
    assert command.settings(parsed("--parts=noise, binary,noise")).parts == ("binary", "noise")


def test_the_environment_says_where_the_data_are_unless_a_flag_does(monkeypatch):
    monkeypatch.setenv("MNIST3_DATA_DIR", "there")
    assert parsed().data_dir == "there"
    assert parsed("--data_dir=here").data_dir == "here"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--parts=binry", "--parts has 'binry'; did you mean 'binary'"),
        ("--parts=", "--parts is empty; give some of binary, "),
        ("--images=-1", "images=-1"),
        ("--images=many", "images=many"),
        ("--seed=4294967296", "seed=4294967296"),
        ("--seeds=1", "seeds"),
        ("binary", "unexpected argument 'binary'"),
    ],
)
def test_mistakes_get_a_sentence(word, said):
    with pytest.raises(UserError, match=said) as refusal:
        parsed(word)
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def textbook(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if name != "MNIST3_DATA_DIR"}

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "experiments.textbook", *map(str, words)],
            cwd=ROOT,
            env=kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
            capture_output=True,
            text=True,
        )

    return run


def test_a_command_leaves_a_run_whose_page_repeats_the_command(textbook, tmp_path):
    words = ("--source=digits", "--parts=noise", "--images=100", f"--workdir={tmp_path / 'run'}")
    done = textbook(*words)
    assert done.returncode == 0, done.stderr
    assert "0 published figures match, 0 differ, 2 were not published" in done.stdout
    assert f"workdir: {tmp_path / 'run'}" in done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    assert shlex.join(["python", "-m", "experiments.textbook", *words]) in page


def test_a_mistake_is_one_sentence_and_status_1(textbook, tmp_path):
    done = textbook("--source=digitz", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: unknown digit source 'digitz'")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_help_lists_the_flags(textbook):
    done = textbook("--help")
    for flag in ("workdir", "source", "parts", "images", "seed", "data_dir"):
        assert f"--{flag}:" in done.stdout or f"--[no]{flag}:" in done.stdout
