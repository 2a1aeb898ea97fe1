# Trains, reads and serves as `launch.py` does, with its flags:
#
#     docker build --tag mnist3 .                              # or --build-arg 'JAX=jax[cuda13]'
#     docker run --volume "$PWD/runs:/runs" mnist3 --config=experiments/quickstart.py --workdir=/runs/a

FROM python:3.12-slim

# JAX's own plugin for an accelerator: jax[cuda13] or jax[tpu].
ARG JAX=jax

WORKDIR /mnist3
COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock \
    && pip install --no-cache-dir -c requirements.lock "$JAX"
COPY LICENSE README.md launch.py pyproject.toml setup.cfg ./
COPY mnist3 mnist3
COPY experiments experiments
RUN pip install --no-cache-dir --no-deps -e .

ENTRYPOINT ["python", "launch.py"]
