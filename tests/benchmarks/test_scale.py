"""How cost grows: what is counted, what is fitted, and a quick run of the command."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import scale


@given(st.floats(-2, 3), st.floats(1e-3, 1e3))
def test_the_exponent_is_that_of_a_power_law(power, factor):
    sizes = np.array([1, 2, 8, 32.0])
    assert scale.exponent(sizes, factor * sizes**power) == pytest.approx(power, abs=1e-6)


def test_bytes_between_devices_are_those_of_sums_and_gathers():
    program = """
      %all-reduce.1 = (f32[3,4]{1,0}, f32[]) all-reduce(%a, %b), channel_id=1
      %all-gather = u8[10]{0} all-gather(%c), dimensions={0}
      %add = f32[100]{0} add(%d, %e)
    """
    assert scale.exchanged_bytes(program) == 4 * (3 * 4 + 1) + 10


def test_a_quick_run_measures_each_size_in_a_process_of_its_own(monkeypatch, tmp_path, capsys):
    wanted = [axis for axis in scale.AXES if axis.field in ("images", "devices")]
    monkeypatch.setattr(scale, "AXES", tuple(wanted))
    found = scale.measure_all(quick=True, least=1e-9)
    assert [row["images"] for row in found["images"]] == [256, 1024]
    assert [row["steps"] for row in found["images"]] == [2, 8]
    assert all(row["epoch_seconds"] > 0 and row["repetitions"] == 2 for row in found["images"])
    one, two = found["devices"]
    assert one["exchanged_bytes"] == 0 < two["exchanged_bytes"]
    assert one["epoch_seconds"] is None
    fitted = scale.exponents(found)
    assert abs(fitted["images"]["memory"]) < 0.01  # images are composed, and not kept
    assert "seconds" not in fitted["devices"]
    scale.write(found, {"processor": "of a test"}, tmp_path)
    table = (tmp_path / "scale.md").read_text()
    assert table in capsys.readouterr().out
    assert table.startswith("Machine: processor of a test.")
    assert len([line for line in table.splitlines() if line.startswith("|")]) == 2 + 4
    with Image.open(tmp_path / "scale.png") as picture:
        assert picture.width > 1000
    assert json.loads((tmp_path / "scale.json").read_text())["exponents"] == fitted
