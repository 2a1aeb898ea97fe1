# Trains, reads and serves as `launch.py` does, with its flags:
#
#     docker build --tag mnist3 .                              # or --build-arg 'JAX=jax[cuda13]'
#     docker run --volume "$PWD/runs:/runs" mnist3 --config=experiments/quickstart.py --workdir=/runs/a

FROM python:3.12-slim

# JAX's own plugin for an accelerator: jax[cuda13] or jax[tpu].
ARG JAX=jax

WORKDIR /mnist3
COPY LICENSE README.md launch.py pyproject.toml requirements.lock setup.cfg ./
COPY mnist3 mnist3
COPY experiments experiments
# Of the lock the versions alone: it has the libraries of the tests, too.
RUN pip install --no-cache-dir -c requirements.lock -e '.[dask,export,parquet,postgresql]' "$JAX"

ENTRYPOINT ["python", "launch.py"]
