import pathlib

import numpy as np
import pytest

from mnist3.errors import UserError
from mnist3.reporting import drawers
from mnist3.reporting.drawers import Saving, plan

DRAWN = plan("classification_figures.confusion", np.eye(3, dtype=int), ("a", "b", "c"), "a test")


@pytest.fixture(scope="module")
def processes():
    drawers.start()
    yield drawers._started
    drawers.stop()


def saved(folder, drawn, formats=("png",)):
    with Saving(str(folder), formats) as saving:
        for name, each in drawn.items():
            saving.add(name, each)
        paths = saving.wait()
    return {path.removeprefix(f"{folder}/"): pathlib.Path(path).read_bytes() for path in paths}


def test_processes_draw_what_would_be_drawn_here(processes, tmp_path):
    drawn = {"first": DRAWN, "second": DRAWN.draw(), "third": DRAWN}
    there = saved(tmp_path, drawn, ("svg",))
    assert list(there) == [f"figures/{name}.png" for name in drawn]
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 3
    held, processes[:] = list(processes), []
    try:
        assert saved(tmp_path, drawn) == there
    finally:
        processes[:] = held


def test_an_error_of_a_process_is_raised_here(processes, tmp_path):
    with pytest.raises(UserError, match="did you mean 'pdf'"):
        saved(tmp_path, {"one": DRAWN}, ("pfd",))
    with pytest.raises(TypeError, match="nothing"):
        saved(tmp_path, {"one": DRAWN._replace(options={"nothing": 1})})
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(OSError, match="figures"):
        saved(tmp_path, {"one": DRAWN})


def test_what_a_process_that_is_gone_should_have_drawn_is_drawn_here(processes, tmp_path):
    for process in processes:
        process.kill()
        process.wait()
    assert list(saved(tmp_path, {"one": DRAWN, "two": DRAWN, "three": DRAWN})) == [
        f"figures/{name}.png" for name in ("one", "two", "three")
    ]
