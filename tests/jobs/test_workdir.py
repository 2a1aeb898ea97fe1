import pathlib
import subprocess
import sys

import pytest

from mnist3.config import base
from mnist3.jobs.workdir import claimed, write_config

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture
def killed(tmp_path):
    """A workdir in which processes were killed while they wrote metrics.json and a figure."""
    for name in ("figures", "checkpoints", "folder.1.partial"):
        (tmp_path / name).mkdir()
    for name in ("checkpoints/1.1.partial", "download.partial"):
        (tmp_path / name).touch()
    write = (
        "import os, sys\n"
        "from mnist3.files import replacing\n"
        "with replacing(sys.argv[1]):\n"
        "    os._exit(9)\n"
    )
    for name in ("metrics.json", "figures/misread.png"):
        subprocess.run([sys.executable, "-c", write, str(tmp_path / name)], cwd=ROOT)
    return tmp_path


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_run_that_goes_on_removes_half_files_and_nothing_else(killed):
    config = base()
    write_config(str(killed), config)
    before = names(killed)
    with claimed(str(killed), config):
        pass
    removed = sorted(name.split(".")[0] for name in before - names(killed))
    assert removed == ["figures/misread", "metrics"]


def test_a_folder_without_a_run_keeps_every_file(killed):
    before = names(killed)
    with claimed(str(killed), base()):
        pass
    assert names(killed) == before
