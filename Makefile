# `make run` trains on the embedded digits, `make demo` trains on them and shows a page to draw
# numbers on, `make check` asks lint, types and the quick tests, and
# `make test` all tests.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/installed
BENCH := $(VENV)/bench-installed
# Tests start many processes: the bytecode that one has made of the sources the others find.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m pytest --numprocesses=auto \
  --maxprocesses=8 --dist=worksteal

.PHONY: run demo check test bench notebooks format lock clean

run: $(INSTALLED)
	$(VENV)/bin/mnist3 --config=experiments/quickstart.py

# Of the first `make demo` the run stays; remove runs/demo to train it anew.
demo: runs/demo/report.html
	$(VENV)/bin/mnist3 --mode=serve --workdir=runs/demo

runs/demo/report.html: | $(INSTALLED)
	$(VENV)/bin/mnist3 --config=experiments/people.py:source=digits --workdir=runs/demo

check: $(INSTALLED)
	$(PYTEST) -m 'not slow'

test: $(INSTALLED)
	$(PYTEST)

# Ours and the peers in turn; wants the machine to itself and MNIST3_DATA_DIR.
bench: $(BENCH)
	$(VENV)/bin/python -m benchmarks.run

# Executes the notebooks anew, on MNIST where MNIST3_DATA_DIR leads to it, and keeps their outputs.
notebooks: $(INSTALLED)
	$(VENV)/bin/python -m experiments.notebooks.execute

format: $(INSTALLED)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# Pins every dependency for every platform anew; needs uv.
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock:
	uv pip compile --universal --python-version 3.11 --extra test --no-emit-index-url \
	  --upgrade setup.cfg --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --extra bench --no-emit-index-url \
	  --constraint requirements.lock --excludes benchmarks/cuda_packages.txt \
	  --upgrade setup.cfg --output-file benchmarks/requirements.lock

$(INSTALLED): requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mnist3 needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --editable .
	$(VENV)/bin/python -m compileall -qq --workers 0 $(VENV)/lib || true  # all cores do; some files are for other Pythons
	touch $(INSTALLED)

$(BENCH): benchmarks/requirements.lock $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet --requirement benchmarks/requirements.lock
	touch $(BENCH)

clean:
	rm -rf $(VENV)
