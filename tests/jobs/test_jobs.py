"""Which job each mode does with what an experiment runs."""

import pathlib

import pytest

from mnist3 import jobs
from mnist3.errors import UserError
from mnist3.jobs import command_line

ROOT = pathlib.Path(__file__).parent.parent.parent
OF_NETWORKS = {
    "train": "run",
    "evaluate": "run",
    "predict": "predict",
    "audit": "audit",
    "inspect": "inspect",
    "export": "export",
    "serve": "serve",
    "sweep": "sweep",
}
JOBS = {
    "experiments/quickstart.py": OF_NETWORKS,
    "experiments/classify.py": OF_NETWORKS,
    "experiments/compare.py": {
        "train": "compare",
        "compare": "compare",
        "evaluate": "compare",
        "predict": "predict",
        "export": "export",
        "serve": "serve",
    },
    "experiments/tabular.py": {
        "train": "compare",
        "compare": "compare",
        "evaluate": "compare",
        "predict": "predict_table",
        "inspect": "inspect",
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


@pytest.mark.parametrize("experiment", JOBS)
def test_other_data_are_measured_by_whatever_reads_images(experiment, load, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load(experiment)
    if config.kind != "table":
        assert jobs.job_of("evaluate", config, elsewhere=True) == "measure"
        return
    with pytest.raises(UserError, match=r"this run is of a table; .* --mode=predict --table=FILE"):
        jobs.job_of("evaluate", config, elsewhere=True)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("all", ("all", ("png",))),
        ("few,pdf", ("few", ("pdf",))),
        ("svg", ("all", ("svg",))),
        ("none", ("none", ("png",))),
    ],
)
def test_figures_are_so_many_and_in_these_formats(words, found):
    assert command_line.figures_of(words.split(",")) == found


@pytest.mark.parametrize(
    ("words", "said"), [("none,few", "names none and few"), ("nown", "did you mean")]
)
def test_words_that_say_no_figures_are_refused(words, said):
    with pytest.raises(UserError, match=said):
        command_line.figures_of(words.split(","))
