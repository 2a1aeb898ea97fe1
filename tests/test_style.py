"""One formatter, one linter and one type checker over everything, and imports that run one way."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "mnist3"
LAYERS = (  # from the bottom up; each may import those before it
    "errors",
    "files",
    "locking",
    "stopping",
    "exit_status",
    "runtime",
    "profiling",
    "parents",
    "hosts",
    "varied",
    "ops",
    "data",
    "models",
    "evaluation",
    "tasks",
    "config",
    "upgrade",
    "experiments",
    "tracking",
    "training",
    "limits",
    "estimators",
    "validation",
    "learners",
    "export",
    "pictures",
    "results",
    "comparisons",
    "sweeps",
    "reporting",
    "web",
    "jobs",
    "reading",
    "notebook",
    "__init__",
    "__main__",
)
PURE = ("ops", "data", "models", "evaluation", "tasks")  # know nothing of a run
CLOCKS = {  # who reads the time, and of what
    "runtime.py": "the date of a result",
    "locking.py": "since when a workdir is locked",
    "stopping.py": "whether a second signal is an echo of the first",
    "parents.py": "how long a process may take to end",
    "hosts.py": "how long an error waits for the loss of another process",
    "training/loop.py": "seconds of training",
    "learners/estimator.py": "seconds of a fit and of a search",
    "learners/progress.py": "the estimate of what is left",
    "jobs/workdir.py": "the name of a fresh workdir",
    "profiling.py": "where the time of a run goes, and the rate of a matrix product",
}
ENVIRONMENT = {  # who reads environment variables
    "runtime.py": "cache folder, JAX's and the allocator's settings",
    "errors.py": "whether tracebacks are wanted",
    "tracking.py": "the sweep whose agent started the run",
    "jobs/arguments.py": "the data folder",
    "notebook.py": "the data folder",
    "parents.py": "what a process has of its parent",
    "hosts.py": "the cluster that a process stands in",
    "training/kept.py": "the settings of JAX that change programs",
}
FLAGS = {"jobs/arguments.py", "jobs/command_line.py", "experiments.py", "exit_status.py"}
WRITERS = {  # who writes files, besides through `files.replacing`
    "files.py": "every file that is whole or not there",
    "tracking.py": "history.jsonl, a line at a time, and W&B's folder",
    "training/checkpoints.py": "checkpoints",
    "training/kept.py": "the folder of kept programs",
    "jobs/workdir.py": "the folder of a run",
    "jobs/compare.py": "the folders of candidates",
    "jobs/predict.py": "the folder of predicted images",
    "reporting/drawing.py": "the folder of pictures",
    "data/triple_mnist.py": "the cache of decoded images",
}
WRITING = ("makedirs", "mkdir", "write_text", "write_bytes", "rmtree", "unlink", "rmdir")


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("arguments", [("format", "--check"), ("check",)])
def test_ruff_has_nothing_to_say(arguments):
    done = run("ruff", *arguments, "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_mypy_has_nothing_to_say():  # 10 s the first time, 3 s with what it keeps
    done = run("mypy")
    assert done.returncode == 0, done.stdout


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text())


def place(path):
    return str(path.relative_to(PACKAGE))


MODULES = sorted(PACKAGE.rglob("*.py"))
MODULE = pytest.mark.parametrize("path", MODULES, ids=place)


def layer(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_of_the_package_is_a_layer():
    assert {layer(path) for path in MODULES} == set(LAYERS)


def test_the_readme_draws_these_layers():
    lines = (ROOT / "README.md").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("mnist3/  "))
    names = []
    for line in lines[first + 1 :]:
        if not line.startswith("  "):
            break
        names += [name.strip("/") for name in line[2:].split("  ")[0].split(", ")]
    assert (*names, "__init__", "__main__") == LAYERS


@MODULE
def test_imports_run_one_way(path):
    own = layer(path)
    if own == "__init__":
        return  # names what is to be had, and loads it when asked
    for name in imported(tree_of(path)):
        package, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if package == "mnist3" and other != own:
            below = LAYERS[: LAYERS.index(own)]
            assert other in below, f"{place(path)} imports {name}, which is not below {own}"


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_itself_by_way_of_others():
    names = {dotted(path): path for path in MODULES}

    def imports(name):
        for text in imported(tree_of(names[name])):
            found = text if text in names else text.rpartition(".")[0]
            if found in names and found not in (name, name.rpartition(".")[0]):
                yield found

    done, stack = set(), []

    def visit(name):
        assert name not in stack, " -> ".join([*stack[stack.index(name) :], name])
        if name not in done:
            stack.append(name)
            for other in imports(name):
                visit(other)
            done.add(stack.pop())

    for name in names:
        if name != "mnist3":  # which names what is above it
            visit(name)


def uses(tree, names):
    """Returns which of these names of modules, attributes or functions a module uses."""
    found = {part for name in imported(tree) for part in name.split(".")} & set(names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            found.add(node.attr)
    return found


def test_clocks_are_read_where_it_is_said():
    found = {place(path) for path in MODULES if uses(tree_of(path), ("time", "datetime"))}
    assert found == set(CLOCKS)


def test_environment_variables_are_read_where_it_is_said():
    found = {place(path) for path in MODULES if uses(tree_of(path), ("environ", "getenv"))}
    assert found <= set(ENVIRONMENT), found - set(ENVIRONMENT)


def test_flags_are_read_where_it_is_said():
    found = {place(path) for path in MODULES if "absl.flags" in set(imported(tree_of(path)))}
    assert found == FLAGS


def opens_for_writing(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open":
            modes = [each for each in node.args[1:2] if isinstance(each, ast.Constant)]
            modes += [word.value for word in node.keywords if word.arg == "mode"]
            if any(set("wax+") & set(str(mode.value)) for mode in modes):
                return True
    return False


def test_files_are_written_where_it_is_said():
    found = {
        place(path)
        for path in MODULES
        if uses(tree_of(path), WRITING) or opens_for_writing(tree_of(path))
    }
    assert found == set(WRITERS), found ^ set(WRITERS)


@pytest.mark.parametrize("path", [path for path in MODULES if layer(path) in PURE], ids=place)
def test_what_knows_nothing_of_a_run_has_no_clock_flags_or_environment(path):
    assert place(path) not in CLOCKS | ENVIRONMENT
    assert not uses(tree_of(path), ("flags", "environ", "getenv", "time", "datetime", "wandb"))
