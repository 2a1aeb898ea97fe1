"""The notebooks: text and outputs belong together, and all cells run on whatever data there are.

They run as small_notebooks.py has them: the cells are the same, the networks and data smaller. On
MNIST only the first one runs, where MNIST is at hand.
"""

import ast
import pathlib
import re
import subprocess
import sys

import jupytext
import matplotlib
import matplotlib.font_manager  # writes the font cache, which the kernels then find
import nbformat
import pytest

import experiments.notebooks.execute
from mnist3.notebook import data_at_hand

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
ON_MNIST = "01_digits"  # the one that shows what differs there; make notebooks runs all on MNIST
LARGEST = 1_500_000  # bytes of a notebook
LEAST_PICTURES = 5
OF_A_MACHINE = (
    str(ROOT),
    str(pathlib.Path.home()),
    "/home/",
    "/root",
    "/tmp/",
    "site-packages",
)
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")

pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def environment(tmp_path_factory, common_cache):
    """An empty home, and one cache for all notebooks."""
    return {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "MNIST3_CACHE_DIR": common_cache,
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
        "PYTHONPATH": str(ROOT),
        "PYTHONSTARTUP": str(pathlib.Path(__file__).with_name("small_notebooks.py")),
        "IPYTHONDIR": "",  # the command sets both, in this process, which the fixture undoes
        "JUPYTER_RUNTIME_DIR": "",
    }


@pytest.fixture
def execute(environment, tmp_path, monkeypatch):
    """Runs the command that executes a notebook; as a process of its own for one of them."""

    def executed(name, **variables):
        monkeypatch.delenv("MNIST3_DATA_DIR", raising=False)
        for variable, value in (environment | variables).items():
            monkeypatch.setenv(variable, value)
        words = [f"--folder={tmp_path}", name]
        if name == ON_MNIST:
            done = subprocess.run(
                [sys.executable, "-m", "experiments.notebooks.execute", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        else:
            monkeypatch.setattr(sys, "argv", ["execute", *words])
            experiments.notebooks.execute.main()
        return read(tmp_path / f"{name}.ipynb")

    return executed


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def has_value(source):
    """Tells whether a cell ends with a call, whose output must not be lost."""
    return not source.startswith("#") and isinstance(ast.parse(source).body[-1], ast.Expr)


def check_outputs(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    for cell in cells:
        assert cell.outputs or not has_value(cell.source), cell.source
    outputs = [output for cell in cells for output in cell.outputs]
    for output in outputs:
        assert output.output_type != "error", output.traceback
        assert output.get("name") != "stderr", output.text
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= LEAST_PICTURES


def shown(notebook):
    """Returns the texts that cells put out."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield content


def test_text_and_notebook_have_the_same_cells(name):
    cells = [
        [(cell.cell_type, cell.source) for cell in notebook.cells]
        for notebook in (jupytext.read(FOLDER / f"{name}.py"), read(FOLDER / f"{name}.ipynb"))
    ]
    assert cells[0] == cells[1], f"{name}.py was changed: run make notebooks"


def test_a_notebook_is_kept_with_its_outputs(name):
    notebook = read(FOLDER / f"{name}.ipynb")
    check_outputs(notebook)
    for text in shown(notebook):
        assert not [part for part in OF_A_MACHINE if part in text], text
        assert not ADDRESS.search(text), text
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST


def test_it_runs_on_the_embedded_data(name, execute):
    if name == ON_MNIST and data_at_hand().source == "mnist":
        pytest.skip("it runs on MNIST, which is at hand")
    notebook = execute(name)
    check_outputs(notebook)
    assert "MNIST" not in "".join(shown(notebook)).replace("not MNIST", "")


def test_it_runs_on_mnist(name, execute, data_dir):
    if name != ON_MNIST:
        pytest.skip(f"{ON_MNIST} does for all")
    notebook = execute(name, MNIST3_DATA_DIR=data_dir)
    check_outputs(notebook)
    assert "source of digit images: MNIST\n" in "".join(shown(notebook))
