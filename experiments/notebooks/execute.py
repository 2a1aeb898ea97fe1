"""Executes the notebooks and writes them with their outputs; `make notebooks` calls it.

A notebook is a pair: NAME.py is the text that people edit, NAME.ipynb is made of it here.

    python -m experiments.notebooks.execute [--folder=FOLDER] [NAME ...]
"""

import argparse
import os
import pathlib
import tempfile
import time

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("[0-9]*.py")))
SECONDS = 120  # that the kernel and its outputs may come late on a busy machine


def execute(name: str) -> nbformat.NotebookNode:
    """Returns a notebook with its outputs, by the cells of its text."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{name[:2]}-{number:02}"
    NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=SECONDS,
        iopub_timeout=SECONDS,
        raise_on_iopub_timeout=True,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(FOLDER)}},
    ).execute()
    return notebook


def main() -> None:
    """Executes the notebooks that the command line names, or all, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="to write them to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # what the user's Jupyter is set to stays away
        os.environ.update({"IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder})
        for name in arguments.names:
            started = time.perf_counter()
            nbformat.write(execute(name), arguments.folder / f"{name}.ipynb")
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
