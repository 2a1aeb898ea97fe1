"""What a job brings in: nothing that it does not use, since imports are what a user waits for."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent

SLOW = {  # to import
    "joblib",
    "matplotlib",
    "pandas",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.sparse",
    "scipy.special",
    "scipy.stats",
    "skops",
    "sklearn",
    "tensorflow_datasets",
    "wandb",
}


def imported(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "not_needed"),
    [
        ("mnist3.jobs.command_line", SLOW | {"flax", "jax", "numpy", "optax", "orbax", "PIL"}),
        ("mnist3.jobs.run", SLOW | {"jinja2"}),
        ("mnist3.jobs.predict", SLOW | {"jinja2"}),
        ("mnist3.jobs.audit", SLOW),
        ("mnist3.jobs.inspect", SLOW | {"jinja2"}),
        ("mnist3.reporting.figures", SLOW - {"matplotlib"} | {"flax", "jax"}),  # drawn elsewhere
    ],
)
def test_a_job_imports_only_what_it_uses(module, not_needed):
    assert imported(module) & not_needed == set()
