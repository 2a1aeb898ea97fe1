"""Several processes train one network together, as one would with as many devices."""

import contextlib
import json
import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from unittest import mock

import jax
import kubernetes_validate
import numpy as np
import pytest
import yaml

from mnist3 import experiments, hosts, parents, stopping, validation
from mnist3.errors import UserError
from mnist3.jobs import command_line, parts, run
from mnist3.training.checkpoints import Checkpoints
from tests.faults import tiny
from tests.times import without_times

ROOT = pathlib.Path(__file__).parent.parent.parent
EPOCHS = 8  # of which a run that is disturbed after the first leaves some to train
OFTEN = (  # more than one micro-batch a device, and segments of a step
    f"--config.training.epochs={EPOCHS}",
    "--config.training.cpu_micro_batch=8",
    "--config.training.segment_seconds=0.01",
)
RUN = (
    "--config=experiments/classify.py:learner=network,source=digits",
    "--config.data.train_limit=256",
    "--config.model.channels=(8,)",
    "--config.wandb.mode=disabled",
    "--figures=none",
    *OFTEN,
)
COMPOSED = (*tiny.ARGUMENTS, "--config.seeds=2", *OFTEN)  # augmented, too
SECONDS = 300  # that a run takes at most
PAGE = (ROOT / "docs" / "hosts.md").read_text()


def free_port():
    """Returns a port that no connection is given meanwhile: those come from 32768 on."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port of a hundred is free")


def start(folder, processes, devices=1, flags=RUN):
    """Starts the processes of a run on this machine, each with so many devices."""
    coordinator = f"127.0.0.1:{free_port()}"
    variables = {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "MNIST3_CACHE_DIR": os.path.join(os.environ["MNIST3_TESTS_FOLDER"], "cache"),
    }
    started = []
    for process in range(processes):
        place = (f"--coordinator={coordinator}", f"--processes={processes}", f"--process={process}")
        started.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "launch.py",
                    *flags,
                    f"--workdir={folder}",
                    *place * (processes > 1),
                ],
                cwd=ROOT,
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def ended(started, statuses):
    """Returns what processes have printed, once each has ended with its status; None for any."""
    said = [each.communicate(timeout=SECONDS) for each in started]
    assert statuses in (None, [each.returncode for each in started]), said
    return said


def wait_for_epochs(started, folder, epochs):
    """Waits until a run has trained so many epochs; fails where one of its processes has ended."""
    history, until = pathlib.Path(folder, "history.jsonl"), time.monotonic() + SECONDS
    while not history.exists() or history.read_text().count('"epoch"') < epochs:
        if time.monotonic() > until or any(each.poll() is not None for each in started):
            for each in started:
                each.kill()
            pytest.fail(f"{epochs} epochs were not trained: {ended(started, None)}")
        time.sleep(0.02)


def left(folder):
    """Returns what a run has left, by its files, without the times that it took."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "checkpoints":
            checkpoints = Checkpoints(str(path.parent), read_only=True)
            for epoch in ("best", "latest"):
                params = checkpoints.read_params(checkpoints.resolve(epoch))
                arrays = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params)]
                found[f"{name} {epoch}"] = arrays
            checkpoints.close()
        if "checkpoints" in name or path.suffix == ".html" or path.is_dir():
            continue
        if path.name in ("history.jsonl", "metrics.json"):
            text = path.read_text()
            lines = text.splitlines() if path.suffix == ".jsonl" else [text]
            found[name] = [without_times(json.loads(line), "environment") for line in lines]
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def alone(once):
    """Returns the folder of the run of one process with so many devices."""

    def trained(devices, flags=RUN):
        def make(folder):
            ended(start(folder, 1, devices, flags), [0])

        return once(f"alone-{devices}-{'composed' if flags is COMPOSED else 'fixed'}", make)

    return trained


@pytest.mark.slow
def test_two_processes_leave_the_bytes_of_one_and_one_of_them_all_files(alone, tmp_path):
    (table, _), (nothing, problems) = ended(start(tmp_path / "run", 2), [0, 0])
    again, _ = ended(start(tmp_path / "run", 2), [0, 0])  # nothing is left to be trained
    assert "accuracy" in again[0]
    assert left(tmp_path / "run") == left(alone(2))
    assert "accuracy" in table
    assert [line for line in nothing.splitlines() if not line.startswith("[Gloo]")] == []
    assert "epoch" not in problems


@pytest.mark.slow
def test_a_signal_to_one_of_two_stops_both_and_one_process_goes_on(alone, tmp_path):
    folder = tmp_path / "run"
    started = start(folder, 2)
    wait_for_epochs(started, folder, 1)
    started[1].terminate()
    for _, problems in ended(started, [143, 143]):
        assert problems.splitlines()[-1] == "Stopped; run the same command to go on."
    assert (folder / "history.jsonl").read_text().count('"epoch"') < EPOCHS
    [(_, problems)] = ended(start(folder, 1, 2), [0])
    assert "2 devices of 2 processes until now, on 2 devices of 1 processes from here" in problems
    assert "the same to the last bit" in problems
    assert left(folder) == left(alone(2))


@pytest.mark.slow
def test_of_four_processes_one_is_killed_the_others_say_so_and_the_same_command_goes_on(
    alone, tmp_path
):
    folder = tmp_path / "run"
    started = start(folder, 4, flags=COMPOSED)
    wait_for_epochs(started, folder, 1)
    children = pathlib.Path(f"/proc/{started[2].pid}/task/{started[2].pid}/children").read_text()
    os.kill(int(children), signal.SIGKILL)
    killed = time.monotonic()
    for _, problems in ended(started, [1, 1, 1, 1]):
        assert problems.splitlines()[-1] == (
            "Error: process 2 of 4 was lost (killed by signal 9, SIGKILL); run the same command in "
            "all of them to go on from the last checkpoint."
        )
    assert time.monotonic() - killed < 60
    ended(start(folder, 4, flags=COMPOSED), [0, 0, 0, 0])
    assert left(folder) == left(alone(4, COMPOSED))


def test_a_process_with_another_config_or_other_data_ends(monkeypatch):
    config = experiments.load(RUN[0].partition("=")[2])
    made = parts.Parts(config, mock.Mock(fingerprint="here"), None, {})
    monkeypatch.setattr(hosts, "_place", [hosts.Place(2, 4)])
    firsts = {}

    def from_first(make):
        if not firsts:
            firsts.update(make())
        return firsts

    monkeypatch.setattr(hosts, "from_first", from_first)
    run._require_alike(made)
    config.wandb.mode = "disabled"
    run._require_alike(made)
    firsts["seed"] = 7
    with pytest.raises(UserError, match=r"process 2 of 4 .* another config.seed, 0 than the first"):
        run._require_alike(made)
    firsts |= {"seed": 0, "data": "there"}
    with pytest.raises(UserError, match="started with other data than the first"):
        run._require_alike(made)


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:2", "OMPI_COMM_WORLD_SIZE": "4"}


@pytest.mark.parametrize(
    ("environment", "cluster"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, None),  # of a batch script, outside of srun
        (SLURM, "Slurm"),
        (SLURM | {"SLURM_NTASKS": "1"}, None),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, None),  # of a shell in a larger allocation
        (OPEN_MPI, "Open MPI"),
        (OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1"}, None),
        (SLURM | {"SLURM_NTASKS": "1"} | OPEN_MPI, "Open MPI"),  # from a shell of srun
        (SLURM | OPEN_MPI, "Open MPI"),  # from a daemon on a node, which srun started
        (SLURM | OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1"}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, "Kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),  # of a pod that is alone
        ({"TPU_WORKER_HOSTNAMES": "one,two"}, "a TPU pod"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
    ],
)
def test_a_cluster_is_known_by_its_variables(environment, cluster, monkeypatch):
    monkeypatch.setattr(hosts.importlib.util, "find_spec", lambda name: "there")
    monkeypatch.setattr(hosts.glob, "glob", lambda pattern: [])
    assert hosts.cluster(environment) == cluster


def test_without_a_cluster_nothing_is_started(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SLURM_", "OMPI_", "TPU_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(jax.distributed, "initialize", mock.Mock(side_effect=AssertionError))
    hosts.start()
    assert not hosts.several()
    assert hosts.first()
    assert hosts.from_first(lambda: 5) == 5
    assert hosts.largest(3) == 3
    assert parents.main(hosts.cluster({}), ["launch.py", "--config=x"]) is None
    assert parents.main("Slurm", ["launch.py", "--config=x", "--distributed=off"]) is None


@pytest.mark.parametrize(
    ("variables", "devices"),
    [
        ({}, None),  # no GPUs
        ({"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_GPUS_ON_NODE": "4"}, [0, 1]),  # bound to the task
        ({"CUDA_VISIBLE_DEVICES": "3", "SLURM_GPUS_ON_NODE": "4"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c,GPU-d", "SLURM_GPUS_ON_NODE": "4"}, [2, 3]),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, [0, 1, 2, 3]),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2", "SLURM_GPUS_ON_NODE": "3"}, [0, 1, 2]),
    ],
)
def test_a_task_of_slurm_takes_the_gpus_that_it_was_given(variables, devices):
    environment = SLURM | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_NODEID": "1"} | variables
    assert hosts.slurm_devices(environment) == devices


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--coordinator=a:1 --processes=2", "go together"),
        ("--process=0", "go together"),
        ("--coordinator=a --processes=2 --process=0", "no host with a port"),
        ("--coordinator=a:1 --processes=2 --process=2", "give a number from 0 to 1"),
        ("--coordinator=a:1 --processes=2 --process=0 --distributed=off", "contradict"),
        ("--coordinator=a:1 --processes=2 --process=0 --mode=predict", "runs in one"),
        ("--distributed=never", "--distributed"),
    ],
)
def test_flags_that_say_too_little_or_too_much(flags, said):
    with pytest.raises(UserError, match=said):
        command_line.run(["mnist3", RUN[0], *flags.split()])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiments/classify.py:learner=knn", "several processes train a network together"),
        ("experiments/classify.py:learner=network,search=grid", "config.search.method=grid"),
        ("experiments/compare.py", "several processes train a network together"),
    ],
)
def test_jobs_of_one_process_are_refused_in_several(text, said, monkeypatch):
    monkeypatch.setattr(hosts, "_place", [hosts.Place(1, 2)])
    monkeypatch.setattr(hosts, "start", lambda **given: None)
    with pytest.raises(UserError, match=said):
        command_line.run(["mnist3", f"--config={text}"])


def test_a_signal_that_comes_while_processes_agree_counts_the_next_time():
    def agreed(number):
        if not number:
            signal.raise_signal(signal.SIGTERM)
        return number

    seen = []
    with (
        pytest.raises(stopping.Interrupted),
        stopping.handled("go on"),
        stopping.deferred(agreed) as stops,
    ):
        seen += [stops(), stops()]
    assert seen == [False, True]


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


def require_flags_of_training(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    values, rest = command_line.parse(["mnist3", *words])
    assert not rest
    assert values.mode == "train"
    validation.validate(experiments.load(values.config))


def test_the_recipe_for_slurm(monkeypatch, tmp_path):
    script = tmp_path / "run.sh"
    script.write_text(block("bash"))
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    for status, requeued in ((0, ""), (1, ""), (143, "requeue 7\n")):
        for name, body in (("srun", f"exit {status}"), ("scontrol", 'echo "$@"')):
            program = tmp_path / name
            program.write_text(f"#!/bin/bash\n{body}\n")
            program.chmod(0o755)
        done = subprocess.run(
            ["bash", script],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (status, requeued)
    (line,) = re.findall(r"^srun \S+mnist3 (.*)$", script.read_text(), re.MULTILINE)
    require_flags_of_training(shlex.split(line), monkeypatch)
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", script.read_text(), re.MULTILINE))
    assert options["signal"] == "TERM@60"
    assert "requeue" in options


def test_the_recipe_for_kubernetes(monkeypatch):
    service, job = yaml.safe_load_all(block("yaml"))
    for each in (service, job):
        kubernetes_validate.validate(each, "1.37", strict=True)  # by Kubernetes' own schema
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert service["spec"]["clusterIP"] == "None"  # else the pods have no names
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    assert pod["restartPolicy"] in ("OnFailure", "Never")  # a Job has no other
    assert pod["subdomain"] == service["metadata"]["name"]
    (container,) = pod["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }
    (variable,) = container["env"]
    words = [word.replace(f"$({variable['name']})", "3") for word in container["args"]]
    assert f"--processes={spec['parallelism']}" in words
    assert f"--coordinator={job['metadata']['name']}-0.{pod['subdomain']}:8476" in words
    require_flags_of_training(words, monkeypatch)


def test_the_recipe_for_tpus(monkeypatch):
    (line,) = re.findall(r"^gcloud .*$", PAGE, re.MULTILINE)
    words = shlex.split(line)
    assert words[:5] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh"]
    assert {"--worker=all", "--zone=us-central2-b"} <= {*words}
    (command,) = [word for word in words if word.startswith("--command=")]
    _, _, command = command.rpartition("mnist3 --")
    require_flags_of_training(shlex.split(f"--{command}"), monkeypatch)


def test_what_the_image_copies_and_starts_is_there():
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    assert {name for name, _ in lines} == {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENTRYPOINT"}
    assert lines[0] == ["FROM", "python:3.12-slim"]
    copied = [word for name, rest in lines if name == "COPY" for word in rest.split()[:-1]]
    assert all((ROOT / word).exists() for word in copied)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == {*copied}
    (entry,) = [json.loads(rest) for name, rest in lines if name == "ENTRYPOINT"]
    assert entry == ["python", "launch.py"]
    assert {"launch.py", "mnist3", "experiments", "requirements.lock", "README.md"} <= {*copied}
