"""Trains a model, from the latest checkpoint where there is one, then evaluates it."""

import contextlib
import time
from collections.abc import Iterator

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from mnist3 import runtime
from mnist3.data import dataset as datasets
from mnist3.errors import UserError
from mnist3.jobs import evaluate, output, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.tracking import Tracker, read_history
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints, best_by_val
from mnist3.training.run import Run, assemble
from mnist3.training.state import TrainState


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Trains, evaluates, and writes the files of a run into its workdir."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        dataset = datasets.load(config.data, arguments.data_dir, runtime.cache_dir())
        output.log_dataset(dataset)
        parts = prepare(config, dataset)
        output.log_model(parts)
        workdir.write_config(folder, config)
        with trained(parts, dataset, folder) as (checkpoints, tracker):
            metrics = evaluate.evaluate_run(
                parts, dataset, checkpoints, "best", folder, arguments.command, tracker
            )
    output.print_table(metrics, folder)
    return 0


@contextlib.contextmanager
def trained(
    parts: Run, dataset: datasets.Dataset, folder: str
) -> Iterator[tuple[Checkpoints, Tracker]]:
    """Trains for the epochs that a run has left, and gives its checkpoints and its tracker.

    Args:
        parts: of the run.
        dataset: to train on.
        folder: workdir of the run, which has its config.
    """
    config = parts.config
    checkpoints = Checkpoints(folder)
    try:
        epoch = checkpoints.latest() or 0
        history = read_history(folder, epoch)
        with output.tracked(folder, config, epoch) as tracker:
            if epoch:
                logging.info("going on after epoch %d of %d", epoch, config.training.epochs)
                state = checkpoints.restore(epoch, parts.state_shapes())
            else:
                state = parts.initial_state()
            if not finished(config, history):
                train(parts, dataset, state, history, checkpoints, tracker)
            checkpoints.wait()
            yield checkpoints, tracker
    finally:
        checkpoints.close()


def prepare(config: ConfigDict, dataset: datasets.Dataset) -> Run:
    """Puts the parts of a run together.

    Raises:
        UserError: if the data lack what training needs, or the devices cannot share a batch.
    """
    for needed in ("train", "val"):
        if needed not in dataset.splits and not (needed == "train" and dataset.stream):
            raise UserError(
                f"{dataset.name} has no {needed} split here, which training needs; add the folder "
                f"{needed}/ to its images or choose another config.data.name."
            )
    examples = examples_of_epoch(config, dataset)
    if examples < config.training.batch_size:
        raise UserError(
            f"config.training.batch_size is {config.training.batch_size} but an epoch has only "
            f"{examples} images; give a batch size of at most that."
        )
    parts = assemble(config, examples)
    program.require_even_shares(config, parts.mesh)
    return parts


def examples_of_epoch(config: ConfigDict, dataset: datasets.Dataset) -> int:
    """Returns how many training images an epoch has, composed or fixed."""
    return config.data.train_examples if dataset.stream else len(dataset.splits["train"])


def finished(config: ConfigDict, history: list[dict]) -> bool:
    """Tells whether a run with this history has no epoch left to train."""
    if len(history) >= config.training.epochs:
        return True
    if not config.training.patience or not history:
        return False
    scores = [line["val"]["exact_match"] for line in history]
    return len(scores) - 1 - int(np.argmax(scores)) >= config.training.patience


def train(
    parts: Run,
    dataset: datasets.Dataset,
    state: TrainState,
    history: list[dict],
    checkpoints: Checkpoints,
    tracker: Tracker,
) -> None:
    """Trains to the last epoch, or until val exact match has stopped getting better.

    Appends a line an epoch to the history, each with the seconds so far of training and of reading
    val, those of training alone, and those of this process's compilation.

    Raises:
        UserError: if the loss is not finite.
    """
    config = parts.config
    data = program.replicate(
        dataset.stream
        or program.Examples(dataset.splits["train"].images, dataset.splits["train"].labels),
        parts.mesh,
    )
    val = program.put_split(dataset.splits["val"], parts.mesh)
    epoch_key = parts.keys()[1]
    started = time.perf_counter()
    train_epoch = program.create_train_epoch(
        parts.model, parts.optimizer, config, parts.steps, dataset.composition, parts.mesh
    )
    example_key = program.replicate(jax.random.fold_in(epoch_key, 0), parts.mesh)
    train_epoch = train_epoch.lower(state, data, example_key).compile()
    compute_logits = program.create_compute_logits(parts.model, parts.mesh)
    compute_logits = compute_logits.lower(state.params, val.batches).compile()
    compile_seconds = time.perf_counter() - started
    logging.info("compiled in %.1f s", compile_seconds)

    seconds, train_seconds = (
        history[-1][name] if history else 0.0 for name in ("seconds", "train_seconds")
    )
    total = config.training.epochs
    with tqdm(
        total=total, initial=len(history), desc="training", unit="epoch", disable=None
    ) as progress:
        while not finished(config, history):
            key = program.replicate(jax.random.fold_in(epoch_key, len(history)), parts.mesh)
            started = time.perf_counter()
            with jax.transfer_guard("disallow"):
                state, steps = jax.block_until_ready(train_epoch(state, data, key))
                train_seconds += time.perf_counter() - started
                scores = program.score_split(compute_logits, state.inference_params, val)
            steps, scores = jax.device_get((steps, scores))
            seconds += time.perf_counter() - started
            stop_if_not_finite(
                np.append(steps.loss, scores.log_likelihood.mean()),
                len(history) * parts.steps,
                checkpoints,
            )
            exact = (scores.prediction.digits == dataset.splits["val"].labels).all(axis=1)
            line = {
                "step": (len(history) + 1) * parts.steps,
                "epoch": len(history) + 1,
                "seconds": seconds,
                "train_seconds": train_seconds,
                "compile_seconds": compile_seconds,
                "train": {
                    "loss": float(steps.loss.mean()),
                    "exact_match": float(steps.exact_match.mean()),
                },
                "val": {
                    "exact_match": float(exact.mean()),
                    "nll": -float(scores.log_likelihood.mean()),
                },
            }
            history.append(line)
            tracker.log_epoch(line)
            best = best_by_val({line["epoch"]: line["val"] for line in history})
            checkpoints.save(len(history), state, line["val"], best)
            shown = {
                "loss": f"{line['train']['loss']:.4f}",
                "val exact match": f"{line['val']['exact_match']:.4f}",
            }
            progress.set_postfix(shown)
            progress.update()
            if progress.disable:
                left = seconds / len(history) * (total - len(history))
                logging.info(
                    "epoch %d/%d  loss %s  val exact match %s  %.1f s, %.0f s left",
                    len(history),
                    total,
                    *shown.values(),
                    seconds,
                    left,
                )


def stop_if_not_finite(losses: np.ndarray, steps_before: int, checkpoints: Checkpoints) -> None:
    """Checks the losses of an epoch's steps and, last, the one of val after them.

    Raises:
        UserError: names the step at which a loss is not finite, and the last good checkpoint.
    """
    if np.isfinite(losses).all():
        return
    step = steps_before + min(int(np.argmin(np.isfinite(losses))) + 1, len(losses) - 1)
    checkpoints.wait()
    good = checkpoints.latest()
    where = f"the last good checkpoint is epoch {good}" if good else "no epoch was finished before"
    raise UserError(
        f"the loss is not finite ({losses[~np.isfinite(losses)][0]}) at step {step}; {where}; "
        "lower config.optimizer.learning_rate or set config.optimizer.gradient_clip."
    )
