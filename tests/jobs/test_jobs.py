"""Which job each mode does with what an experiment runs."""

import pathlib

import pytest

from mnist3 import jobs
from mnist3.errors import UserError

ROOT = pathlib.Path(__file__).parent.parent.parent
JOBS = {
    "experiments/quickstart.py": {mode: mode for mode in jobs.MODES},
    "experiments/classify.py": {"train": "fit", "evaluate": "fit", "audit": "audit"},
    "experiments/compare.py": {"compare": "compare", "evaluate": "compare"},
    "experiments/tabular.py": {
        "train": "tabular",
        "evaluate": "tabular",
        "predict": "tabular_predict",
    },
}


@pytest.mark.parametrize("mode", jobs.MODES)
@pytest.mark.parametrize("experiment", JOBS)
def test_a_mode_selects_a_job_or_is_refused_with_those_that_do(experiment, mode, load, monkeypatch):
    monkeypatch.chdir(ROOT)
    expected = JOBS[experiment]
    if mode in expected:
        assert jobs.job_of(mode, load(experiment)) == expected[mode]
        assert (ROOT / f"mnist3/jobs/{expected[mode]}.py").exists()
        return
    with pytest.raises(UserError, match=f"--mode={mode} is not for .* with --mode=") as refusal:
        jobs.job_of(mode, load(experiment))
    assert all(f"--mode={each}" in str(refusal.value) for each in expected)
