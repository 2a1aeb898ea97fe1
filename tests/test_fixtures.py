"""Tests on real data are skipped, each saying what it lacks."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def test_without_triple_mnist_its_tests_are_skipped(mnist_names):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/data/test_audit.py", "-k", "published"],
        cwd=ROOT,
        env=os.environ | {"MNIST3_DATA_DIR": mnist_names, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert f"MNIST3_DATA_DIR={mnist_names} lacks triple_mnist.zip" in done.stdout
