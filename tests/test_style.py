"""One formatter and one linter over everything, and imports that run one way."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LAYERS = {
    "ops": 0,
    "tasks": 1,
    "models": 1,
    "data": 1,
    "estimators": 2,
    "training": 2,
    "evaluation": 2,
    "reporting": 2,
    "tracking": 2,
    "jobs": 3,
}
PURE = ("ops", "tasks", "models", "data")


@pytest.mark.parametrize("arguments", [("format", "--check"), ("check",)])
def test_ruff_has_nothing_to_say(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def modules():
    for path in sorted((ROOT / "mnist3").rglob("*.py")):
        part = path.relative_to(ROOT / "mnist3").parts[0].removesuffix(".py")
        if part in LAYERS:
            yield pytest.param(part, ast.parse(path.read_text()), id=str(path.relative_to(ROOT)))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("part", "tree"), list(modules()))
def test_imports_run_one_way(part, tree):
    for name in imported(tree):
        package, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if package == "mnist3" and other in LAYERS and other != part:
            assert LAYERS[other] <= LAYERS[part], f"{part} imports {name}"
        if part in PURE:
            assert name.split(".")[-1] not in ("flags", "time", "environ"), f"{part} uses {name}"
