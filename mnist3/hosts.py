"""The processes that train one network together, each with devices of its own, on one host or many.

The first of them has the folder of the run and writes every file; the others compute with it and
learn from it what it has read. Where nothing says that there are several, nothing here starts JAX
or looks anywhere but at environment variables.
"""

import glob
import importlib.util
import itertools
import os
import pickle
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from absl import logging

from mnist3 import parents
from mnist3.errors import UserError

T = TypeVar("T")

START_SECONDS = 300  # how long a process waits for the others at the start
HEARTBEAT_SECONDS = 50  # after which JAX gives up a process, if no parent has before
END_SECONDS = 86_400  # how long the others wait for the first to have written its files
GATHERING_SECONDS = 2  # of processes that fail or stop together, before the first of them ends
POLL_SECONDS = 60
_CHUNK = 1 << 20  # bytes of a message
_SLURM = ("JOB_ID", "STEP_NODELIST", "NTASKS", "PROCID", "LOCALID")


class Place(NamedTuple):
    """Which of the processes this is.

    Attributes:
        process: its number, from 0.
        processes: how many there are.
    """

    process: int
    processes: int


_messages = itertools.count()
_place: list[Place] = []  # of this process among those that it has joined; at most one


def cluster(environment: Mapping[str, str] | None = None) -> str | None:
    """Returns in which cluster this process is one of several, None for none.

    Args:
        environment: the variables of the process; None for those of this one.
    """
    if environment is None:
        environment = os.environ
    # In JAX's order, which takes the first that is there. Where mpirun stands in an allocation of
    # Slurm, the variables of Slurm are those of the shell, or of the daemon, that it began in.
    if "OMPI_MCA_orte_hnp_uri" in environment:
        return "Open MPI" if int(environment.get("OMPI_COMM_WORLD_SIZE", 1)) > 1 else None
    if all(f"SLURM_{name}" in environment for name in _SLURM):
        tasks = environment.get("SLURM_STEP_NUM_TASKS", environment["SLURM_NTASKS"])
        return "Slurm" if int(tasks) > 1 else None
    if importlib.util.find_spec("libtpu") is not None:
        named = ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")
        if any("," in environment.get(name, "") for name in named):
            return "a TPU pod"
        chips = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
        if chips and "TPU_SKIP_MDS_QUERY" not in environment:
            return "a TPU pod"  # of one host perhaps, as its metadata say
    if {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys():
        return "Kubernetes" if importlib.util.find_spec("kubernetes") is not None else None
    return None


def slurm_devices(environment: Mapping[str, str]) -> list[int] | None:
    """Returns which of the visible GPUs are those of this task of Slurm, None where none is named.

    JAX gives a task the one GPU with its number on the node. But Slurm may have given it several,
    or one that it sees as number 0; CUDA_VISIBLE_DEVICES says so. Where each task of a node sees
    all its GPUs they are dealt out evenly.

    Args:
        environment: the variables of the process.
    """
    visible = [each for each in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if each]
    if not visible:
        return None
    tasks = _slurm_tasks(environment)
    on_node = int(environment.get("SLURM_GPUS_ON_NODE", 0))
    if tasks == 1 or len(visible) < on_node or len(visible) % tasks:
        return [*range(len(visible))]
    share = len(visible) // tasks
    if not on_node and share != 1:  # nothing says whether other tasks see the same GPUs
        return [*range(len(visible))]
    first = int(environment["SLURM_LOCALID"]) * share
    return [*range(first, first + share)]


def _slurm_tasks(environment: Mapping[str, str]) -> int:
    """Returns how many tasks of the step run on this node, from a text such as `4(x2),3`."""
    text = environment.get("SLURM_STEP_TASKS_PER_NODE", "1")
    counts: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(count)] * int(times or 1)
    return counts[min(int(environment.get("SLURM_NODEID", 0)), len(counts) - 1)]


def start(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins the processes that train together, where flags or the variables of a cluster say so.

    Must be called before JAX has started.

    Args:
        coordinator: host and port on which the first process can be reached; None to find out.
        processes: how many there are.
        process: the number of this one, from 0.

    Raises:
        UserError: if only some of these are given, or the others do not come.
    """
    given = (coordinator, processes, process)
    where = cluster()
    options: dict[str, Any]
    if any(each is not None for each in given):
        _require_whole(*given)
        where = coordinator
        options = {
            "coordinator_address": coordinator,
            "num_processes": processes,
            "process_id": process,
            "cluster_detection_method": "deactivate",
        }
    elif where is None:
        return
    else:
        options = {"local_device_ids": slurm_devices(os.environ) if where == "Slurm" else None}
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            **options,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=END_SECONDS,
        )
        joined = Place(jax.process_index(), jax.process_count())
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"JAX found no training of several processes in {where} "
            f"({str(error).strip().splitlines()[0]}) when this one {parents.TOGETHER}."
        ) from error
    if joined.processes == 1:
        return
    _place.append(joined)
    if not first():
        logging.set_verbosity(logging.WARNING)  # what the first one logs is said once
    logging.info("%d processes of %s train together", joined.processes, where)
    host = _state().coordinator_address.rpartition(":")[0].strip("[]")
    own = parents.link()
    address = from_first(lambda: own and (host, own.port, own.token))
    if own is not None:
        parents.introduce(own, *joined, address)


def _require_whole(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if coordinator is None or processes is None or process is None:
        raise UserError(
            "--coordinator, --processes and --process go together; give for instance "
            "--coordinator=10.0.0.1:8476 --processes=4 --process=0, and --process=1 to 3 in the "
            "other three."
        )
    if not re.fullmatch(r".+:\d+", coordinator):
        raise UserError(
            f"--coordinator={coordinator} is no host with a port; give for instance 10.0.0.1:8476."
        )
    if not 0 <= process < processes:
        raise UserError(
            f"--process={process} is none of --processes={processes}; give a number from 0 to "
            f"{processes - 1}."
        )


def place() -> Place:
    """Returns which of the processes that train together this is: the only one, if it is alone."""
    return _place[0] if _place else Place(0, 1)


def several() -> bool:
    """Tells whether this process has joined others."""
    return bool(_place)


def first() -> bool:
    """Tells whether this process has the folder of the run, and writes: the first, or the only."""
    return place().process == 0


def from_first(make: Callable[[], T]) -> T:
    """Returns what the function gives in the first process, where alone it is called.

    Every process has to call this in the same order. What is sent is a pickle: a tree of arrays on
    the host, or what JSON can hold. An error of the first process ends all, see
    `mnist3.parents`.

    Args:
        make: what to call.
    """
    if not several():
        return make()
    client, key = _state().client, f"mnist3/{next(_messages)}"
    if first():
        value = make()
        content = pickle.dumps(value)
        pieces = range(0, len(content), _CHUNK)
        for number, begin in enumerate(pieces):
            client.key_value_set_bytes(f"{key}/{number}", content[begin : begin + _CHUNK])
        client.key_value_set(key, str(len(pieces)))
        return value
    count = int(_waited(lambda: client.blocking_key_value_get(key, POLL_SECONDS * 1000)))
    content = b"".join(
        client.blocking_key_value_get_bytes(f"{key}/{number}", POLL_SECONDS * 1000)
        for number in range(count)
    )
    return pickle.loads(content)


def _waited(get: Callable[[], T]) -> T:
    """Returns what comes, however long the first process takes to send it."""
    while True:
        try:
            return get()
        except Exception as error:  # of JAX's own type
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def largest(number: int) -> int:
    """Returns the largest of the numbers that the processes have; all have to call this."""
    if not several():
        return number
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    with jax.transfer_guard("allow"):
        return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def meet() -> None:
    """Waits until every process has come here."""
    if several():
        _state().client.wait_at_barrier(f"mnist3/{next(_messages)}", END_SECONDS * 1000)


def failed(error: Exception) -> int:
    """Tells of an error that nobody expected, unless it came of the loss of another process.

    Then the parent ends this process first, and says which one was lost. Returns the exit status.
    """
    time.sleep(parents.PATIENCE)
    traceback.print_exception(error)
    return 1


def end(status: int) -> None:
    """Leaves the other processes, where there are any, and ends this one.

    After success each waits here for the first one, which has the files to write. After a failure
    JAX would wait for those that cannot come. Python would wait, too: gloo does not end by itself
    where it had nothing to sum, as after a run that was through already.
    """
    if not several():
        return
    import jax

    try:
        if status == 0:
            jax.distributed.shutdown()
        else:  # all stop together where a signal or a mistake came to all: then none is lost
            _state().client.wait_at_barrier("mnist3/end", GATHERING_SECONDS * 1000)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _state() -> Any:
    """Returns what JAX knows of its processes, for which it has no public name."""
    from jax._src import distributed

    return distributed.global_state
