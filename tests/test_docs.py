"""Every command and every link of README and docs/ is tried, as far as a test can.

Commands are collected from the fenced blocks. One that only needs the repository is read to the
end: its flags exist, its experiment gives a config that validates, and its mode is for that kind of
run. The cheapest are run.
"""

import itertools
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import pytest
from absl import flags

from mnist3 import config as configs
from mnist3 import experiments, jobs, validation
from mnist3.jobs import audit, command_line
from mnist3.jobs.arguments import Arguments
from mnist3.sweeps import wandb_files
from tests.faults.__main__ import PARTS
from tests.fuzz.targets import TARGETS

ROOT = pathlib.Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
OF_A_RUN = ("evaluate", "predict", "serve", "export")  # with a workdir's config
LAUNCH = (".venv/bin/mnist3", ".venv/bin/python launch.py")


def blocks(page, *languages):
    for language, text in BLOCK.findall(page.read_text()):
        if language in languages:
            yield text


def commands():
    """Yields each line of a shell block, where it stands, without its remark and its variables."""
    for page in PAGES:
        for text in blocks(page, ""):
            for line in text.replace("\\\n", " ").splitlines():
                if line := re.sub(r"^[A-Z_]+=\S+ ", "", re.split(r"\s{2,}#\s", line)[0].strip()):
                    yield pytest.param(line, id=f"{page.name}: {line}")


def of(*beginnings):
    return [each for each in commands() if each.values[0].startswith(beginnings)]


KNOWN = (
    *LAUNCH,
    "make",
    "pip install",
    ".venv/bin/pip install",
    "source .venv/bin/activate",
    "wandb",
)
STUDY = ".venv/bin/python -m experiments.textbook"
BENCHMARK = ".venv/bin/python -m benchmarks."
TRIALS = (".venv/bin/python -m tests.faults", ".venv/bin/python -m tests.fuzz")


def test_there_are_commands():
    assert len(of(*LAUNCH)) > 20
    assert len(list(commands())) > 30


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_is_of_a_kind_that_is_tried(line):
    assert line.startswith((*KNOWN, STUDY, BENCHMARK, *TRIALS)), (
        "begin with what is installed by make run"
    )


def read(line, monkeypatch):
    """Returns the flags of a command line, and the config of its experiment; None without."""
    monkeypatch.chdir(ROOT)
    program, *words = shlex.split(line)
    values, rest = command_line.parse([program, *words[words[:1] == ["launch.py"] :]])
    config = None
    if values.sweep is not None:
        content = wandb_files.read(values.sweep)
        wandb_files.translate(content)
        values.config = values.config or wandb_files.experiment_of(content)[0]
    if values.config is not None:
        if values.config == "runs/a/config.json":  # of the first command of the README
            values.config = "experiments/quickstart.py"
        config = experiments.read(values.config)
        rest = experiments.change(config, rest)
    assert not rest
    return values, config


@pytest.mark.parametrize("line", of(*LAUNCH))
def test_a_command_has_a_config_that_fits_its_mode(line, monkeypatch):
    values, config = read(line, monkeypatch)
    assert values.mode in jobs.MODES
    if config is None:
        assert values.mode in OF_A_RUN and values.workdir
        assert values.mode != "predict" or (values.output and (values.images or values.table))
        return
    validation.validate(config)
    assert jobs.job_of(values.mode, config)
    for text in config.get("compare", {}).get("experiments", ()):
        validation.validate(experiments.load(text))


def kinds():
    for each in of(*LAUNCH):
        with pytest.MonkeyPatch.context() as patch:
            _, config = read(each.values[0], patch)
        if config is not None:
            yield config.kind


def test_every_kind_of_run_has_a_command():
    assert set(kinds()) == set(configs.KINDS)


def test_the_audit_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    (line,) = (each.values[0] for each in of(*LAUNCH) if "--output=audit.json" in each.values[0])
    values, config = read(line, monkeypatch)
    output = str(tmp_path / values.output)
    audit.run(config, Arguments(mode="audit", output=output))
    assert "numbers in train" in capsys.readouterr().out
    assert pathlib.Path(output).is_file()


@pytest.mark.parametrize("line", of(STUDY))
def test_the_study_takes_its_flags(line):
    from experiments.textbook import command

    values = flags.FlagValues()
    command.define_flags(values)
    assert command.parse(["textbook", *shlex.split(line)[3:]], values)


@pytest.mark.parametrize("line", of(*TRIALS))
def test_what_is_tried_has_the_parts_that_are_named(line):
    _, _, module, *words = shlex.split(line)
    known = PARTS if module == "tests.faults" else TARGETS
    assert {word for word in words if not word.startswith("-")} <= known.keys()


@pytest.mark.parametrize("line", of(BENCHMARK))
def test_a_benchmark_is_there(line):
    assert (ROOT / "benchmarks" / f"{line.removeprefix(BENCHMARK)}.py").is_file()


@pytest.mark.parametrize("line", of("make"))
def test_a_target_of_make_is_there(line):
    _, target = shlex.split(line)
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert target in targets


@pytest.mark.parametrize("line", of("pip", ".venv/bin/pip"))
def test_what_is_installed_is_there(line):
    text = (ROOT / "setup.cfg").read_text()
    words = shlex.split(line)
    for before, word in itertools.pairwise(words):
        if before in ("-r", "-c"):
            assert (ROOT / word).is_file()
        elif before == "-e":
            folder, _, extra = word.rstrip("]").partition("[")
            assert folder == "." and (not extra or f"\n{extra} =" in text)


@pytest.mark.parametrize("line", of("wandb sweep"))
def test_a_sweep_is_there(line):
    assert (ROOT / shlex.split(line)[2]).is_file()


def test_commands_begin_with_a_program_that_the_package_installs():
    assert "mnist3 = mnist3.__main__:main" in (ROOT / "setup.cfg").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["launch.py", "-m mnist3"])
def test_the_programs_list_the_flags(entry, tmp_path):
    done = subprocess.run(
        [sys.executable, *entry.split(), "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert "--workdir" in done.stdout, done.stderr


def test_without_libraries_the_program_says_what_to_do():
    code = (
        "import sys, runpy\n"
        "sys.modules['platformdirs'] = None\n"
        "runpy.run_path('launch.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no library platformdirs; " in done.stderr
    assert "Traceback" not in done.stderr


PYTHON = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "python"))
]


@pytest.mark.parametrize("text", [each for each in PYTHON if "get_config" in each.values[0]])
def test_an_experiment_of_the_docs_validates(text, tmp_path):
    (tmp_path / "own.py").write_text(text)
    validation.validate(runpy.run_path(str(tmp_path / "own.py"))["get_config"]())


@pytest.mark.parametrize("text", [each for each in PYTHON if "mnist3.load" in each.values[0]])
def test_the_python_call_of_the_docs_runs(text, monkeypatch, capsys):
    import mnist3
    from mnist3 import reading

    class Reader:
        def read(self, images):
            return [reading.Reading("042", 0.5)]

    monkeypatch.setattr(reading, "load", lambda folder: Reader())
    exec(compile(text, "docs", "exec"), {})
    assert capsys.readouterr().out.split() == ["042", "0.5"]
    assert mnist3.load("runs/a").read("x")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks" / "README.md"], ids=lambda p: p.name)
def test_links_within_the_repository_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        path = target.partition("#")[0]
        if path and "://" not in target:
            assert (page.parent / path).exists(), target


def test_files_that_the_readme_names_are_there():
    text = (ROOT / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    names = {name for row in rows for name in re.findall(r"`([\w/]+(?:\.py|/))`", row)}
    assert len(names) > 20
    for name in names:
        places = (ROOT / name, ROOT / "mnist3" / name)
        assert any(place.exists() for place in places), name


def test_registries_that_the_readme_names_are_there():
    text = (ROOT / "README.md").read_text()
    found = re.findall(r"`([\w/]+\.py)`((?:, `[A-Z]+`)+)", text)
    assert len(found) >= 7
    for file, names in found:
        source = (ROOT / "mnist3" / file).read_text()
        for name in re.findall("`([A-Z]+)`", names):
            assert re.search(rf"^{name}\b", source, re.MULTILINE), f"{file} has no {name}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
