"""Where folds and searches of estimators are fitted: in this process, or by a Dask cluster."""

import contextlib
from collections.abc import Iterator
from typing import Any

import joblib

from mnist3.errors import UserError

DASK = "dask:"  # what the name of a cluster begins with
ANSWER_SECONDS = 10.0  # how long to wait for a cluster

_clusters: list[str] = []  # at most one


@contextlib.contextmanager
def fitted_by(name: str | None) -> Iterator[None]:
    """Has a cluster fit what joblib would fit side by side in a block.

    What is fitted, and what it predicts, does not depend on where.

    Args:
        name: `dask:` and the address of a scheduler, as in `dask:tcp://host:8786`; None for this
            process.

    Raises:
        UserError: if it names no cluster, Dask is not installed, or no scheduler with a worker
            answers.
    """
    if name is None:
        yield
        return
    address = name.removeprefix(DASK)
    if not name.startswith(DASK) or not address:
        raise UserError(
            f"--joblib={name} names no cluster; give the address of a Dask scheduler, as in "
            "--joblib=dask:tcp://host:8786."
        )
    with _client(address) as client, joblib.parallel_config("dask", client=client):
        _clusters.append(address)
        try:
            yield
        finally:
            _clusters.remove(address)


def _client(address: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise UserError(
            '--joblib=dask:... needs Dask, which is not installed; pip install -e ".[dask]".'
        ) from error
    try:
        client = distributed.Client(address, timeout=ANSWER_SECONDS)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {address}; start `dask scheduler` there, and a "
            "`dask worker` with this package installed, or leave --joblib out."
        ) from error
    try:
        client.wait_for_workers(1, timeout=ANSWER_SECONDS)
    except TimeoutError as error:
        client.close()
        raise UserError(
            f"the Dask scheduler at {address} has no worker; start one with `dask worker "
            f"{address}`, this package installed, or leave --joblib out."
        ) from error
    return client


def side_by_side() -> contextlib.AbstractContextManager:
    """Returns what fits folds in threads of this process, unless a cluster fits them."""
    if _clusters:
        return contextlib.nullcontext()
    return joblib.parallel_config(backend="threading")


def here() -> contextlib.AbstractContextManager:
    """Returns what fits one thing after the other in this process, as networks are."""
    return joblib.parallel_config(backend="sequential")
