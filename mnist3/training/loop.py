"""The training loop: epochs, what is said of each, and the checkpoint after it."""

import time
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh
from jaxtyping import Int
from tqdm import tqdm

from mnist3.data.composition import Layout
from mnist3.data.splits import Stream
from mnist3.errors import UserError
from mnist3.evaluation import checkpoint_choice
from mnist3.evaluation.checkpoint_choice import Outcomes
from mnist3.evaluation.clusters import sharing
from mnist3.evaluation.words import metric_text
from mnist3.tasks import Examples
from mnist3.tracking import Tracker
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.optimizer import create_schedule, schedule_ends_at_zero
from mnist3.training.run import Run
from mnist3.training.state import TrainState
from mnist3.training.step import StepMetrics


def finished(run: Run, history: list[dict]) -> bool:
    """Tells whether a run with this history, a line an epoch, has no epoch left to train."""
    patience = run.config.training.patience
    if len(history) >= run.epochs:
        return True
    if not patience or not history:
        return False
    sign = 1 if run.task.higher_is_better else -1
    scores = [sign * line["val"][run.task.metrics[0]] for line in history]
    return len(scores) - 1 - int(np.argmax(scores)) >= patience


def train(
    run: Run,
    data: Stream | Examples,
    val: Examples,
    layout: Layout | None,
    digit_indices: Int[np.ndarray, "n K"] | None,
    state: TrainState,
    history: list[dict],
    checkpoints: Checkpoints,
    tracker: Tracker,
) -> None:
    """Trains to the last epoch, or until val has stopped getting better.

    Appends a line an epoch to the history, each with the seconds so far of training and of reading
    val, those of training alone, and those of this process's compilation. Every
    `config.training.log_steps` steps the tracker gets a line too.

    Args:
        run: what is trained.
        data: training images on the host: what they are composed from, or examples.
        val: on the host.
        layout: of composed images; None of others.
        digit_indices: of composed val images, where the digit images on them stand in their
            source; None of others.
        state: to go on from, on the devices; consumed.
        history: of the epochs so far.
        checkpoints: of the run.
        tracker: of the run.

    Raises:
        UserError: if the loss is not finite.
    """
    task, headline = run.task, run.task.metrics[0]
    data = program.put_everywhere(_without_labels(data), run.mesh)
    held_out = program.put_split(val.inputs, val.targets, run.mesh)
    epoch_key = run.keys()[1]
    started = time.perf_counter()
    train_epoch: Any = program.create_train_epoch(
        run.model, task, run.optimizer, run.config, run.steps, layout, run.mesh
    )
    example_key = program.put_everywhere(jax.random.fold_in(epoch_key, 0), run.mesh)
    train_epoch = train_epoch.lower(state, data, example_key).compile()
    read_split: Any = program.create_read_split(run.model, task, run.mesh)
    read_split = read_split.lower(state.params, held_out, len(val.inputs)).compile()
    compile_seconds = time.perf_counter() - started
    logging.info("compiled in %.1f s", compile_seconds)

    seconds, train_seconds = (
        history[-1][name] if history else 0.0 for name in ("seconds", "train_seconds")
    )
    total = run.epochs
    outcomes = {}
    if history:
        highest = highest_epoch(run, history)
        params = checkpoints.restore_params(highest, run.state_shapes().params)
        predictions = jax.device_get(read_split(params, held_out))
        outcomes[highest] = task.outcomes(val.targets, predictions)
    with tqdm(
        total=total, initial=len(history), desc="training", unit="epoch", disable=None
    ) as progress:
        while not finished(run, history):
            key = _epoch_key(epoch_key, len(history), run.mesh)
            started = time.perf_counter()
            with jax.transfer_guard("disallow"):
                state, steps = jax.block_until_ready(train_epoch(state, data, key))
                train_seconds += time.perf_counter() - started
                predictions = read_split(state.inference_params, held_out)
            steps, predictions = jax.device_get((steps, predictions))
            seconds += time.perf_counter() - started
            measured = task.progress(val.targets, predictions)
            stop_if_not_finite(
                np.append(steps.loss, measured.get("nll", measured[headline])),
                len(history) * run.steps,
                checkpoints,
            )
            line: dict[str, Any] = {
                "step": (len(history) + 1) * run.steps,
                "epoch": len(history) + 1,
                "seconds": seconds,
                "train_seconds": train_seconds,
                "compile_seconds": compile_seconds,
                "train": {
                    "loss": float(steps.loss.mean()),
                    task.right_name: float(steps.right.mean()),
                },
                "val": measured,
            }
            tracker.log_steps(step_lines(run, steps, len(history)))
            history.append(line)
            tracker.log_epoch(line)
            outcomes[len(history)] = task.outcomes(val.targets, predictions)
            highest = highest_epoch(run, history)
            best = best_epoch(run, len(history), highest, outcomes, digit_indices)
            checkpoints.save(len(history), state, line["val"], best, keep={highest})
            outcomes = {highest: outcomes[highest]}
            shown = {
                "loss": f"{line['train']['loss']:.4f}",
                f"val {metric_text(headline).partition(' (')[0]}": f"{measured[headline]:.4f}",
            }
            progress.set_postfix(shown)
            progress.update()
            if progress.disable:
                left = seconds / len(history) * (total - len(history))
                logging.info(
                    "epoch %d/%d  %s  %.1f s, %.0f s left",
                    len(history),
                    total,
                    "  ".join(f"{name} {value}" for name, value in shown.items()),
                    seconds,
                    left,
                )


def highest_epoch(run: Run, history: list[dict]) -> int:
    """Returns the epoch with the best headline on val, of several the latest."""
    headline, sign = run.task.metrics[0], 1 if run.task.higher_is_better else -1
    return max(history, key=lambda line: (sign * line["val"][headline], line["epoch"]))["epoch"]


def best_epoch(
    run: Run,
    epochs: int,
    highest: int,
    outcomes: dict[int, Outcomes],
    digit_indices: Int[np.ndarray, "n K"] | None,
) -> int:
    """Returns the epoch whose parameters to predict with, after so many epochs.

    It is the one with the best headline on val. But where the learning rate has come to its end at
    zero, it is the last one, unless an earlier one is better beyond noise.

    Args:
        run: what is trained.
        epochs: so far.
        highest: the epoch with the best headline.
        outcomes: of val, by epoch, of the highest and of the latest.
        digit_indices: of composed val images, see `train`.
    """
    if epochs < run.epochs or not schedule_ends_at_zero(run.config.optimizer):
        return highest
    shared = None if digit_indices is None else sharing(digit_indices)
    better = checkpoint_choice.is_better(outcomes[highest], outcomes[epochs], epochs, shared)
    return highest if better else epochs


def step_lines(run: Run, steps: StepMetrics, epochs: int) -> list[dict[str, Any]]:
    """Returns a line for every `config.training.log_steps`-th step of an epoch.

    Args:
        run: what is trained.
        steps: what the steps of the epoch measured, on the host.
        epochs: that went before.
    """
    every = run.config.training.log_steps
    if not every:
        return []
    schedule = create_schedule(run.config.optimizer, run.steps * run.epochs)
    first = epochs * run.steps
    chosen = [step for step in range(run.steps) if (first + step + 1) % every == 0]
    rates = np.asarray(schedule(first + np.asarray(chosen, np.int32))) * np.ones(len(chosen))
    return [
        {
            "step": first + step + 1,
            "learning_rate": float(rate),
            **{name: float(values[step]) for name, values in steps._asdict().items()},
        }
        for step, rate in zip(chosen, rates, strict=True)
    ]


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


def _epoch_key(key: jax.Array, epoch: int, mesh: Mesh) -> jax.Array:
    return program.put_everywhere(jax.random.fold_in(key, epoch), mesh)


def _without_labels(data: Stream | Examples) -> Stream | Examples:
    """Drops what training does not look at."""
    return data._replace(labels=None) if isinstance(data, Examples) else data
