"""The training loop: epochs, the metrics of each, and the checkpoint after it."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from absl import logging
from jaxtyping import Int
from tqdm import tqdm

from mnist3 import hosts, profiling, stopping
from mnist3.data.composition import Layout
from mnist3.data.splits import Stream
from mnist3.errors import UserError
from mnist3.evaluation import checkpoint_choice
from mnist3.evaluation.checkpoint_choice import Outcomes
from mnist3.evaluation.clusters import sharing
from mnist3.evaluation.pooling import pooled
from mnist3.evaluation.words import metric_text
from mnist3.tasks import Examples, Predictions
from mnist3.tracking import Stopped, Tracker
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints, Within
from mnist3.training.optimizer import create_schedule, schedule_ends_at_zero
from mnist3.training.run import Run
from mnist3.training.run import epoch_keys as run_keys
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


@dataclasses.dataclass
class Replicate:
    """What one of the replicates of a training has left in its folder so far.

    Attributes:
        history: a line an epoch; grows.
        checkpoints: of the replicate.
        tracker: of the replicate.
        failure: why its training was stopped; None as long as it was not.
    """

    history: list[dict[str, Any]]
    checkpoints: Checkpoints
    tracker: Tracker
    failure: UserError | Stopped | None = None

    _outcomes: dict[int, Outcomes] = dataclasses.field(default_factory=dict, repr=False)


@dataclasses.dataclass
class Mean:
    """Who is told the mean of several replicates, those of one candidate.

    Attributes:
        places: of the replicates among those that train together.
        tell: gets the mean of their lines, as soon as none of them that trains lacks the epoch;
            may raise `Stopped`.
        told: epochs of which it has it; grows.
    """

    places: Sequence[int]
    tell: Callable[[dict[str, Any]], None]
    told: int = 0


def train(
    run: Run,
    data: Stream | Examples,
    val: Examples,
    layout: Layout | None,
    digit_indices: Int[np.ndarray, "n K"] | None,
    states: list[TrainState],
    replicates: Sequence[Replicate],
    means: Sequence[Mean] = (),
) -> None:
    """Trains replicates side by side to the last epoch, or until val has stopped getting better.

    Appends a line an epoch to each history, with the seconds so far of training and of reading
    val, those of training alone, and those of this process's compilation; of replicates that train
    together each has an equal share. Every `config.training.log_steps` steps each tracker gets a
    line too.

    A replicate whose loss is not finite, or that is stopped by who watches it, stops alone; its
    failure says why. One that is ahead of the others, as after a run that was killed while it
    saved, waits for them. Signals stop all of them some steps later.

    Args:
        run: what is trained.
        data: training images on the host: what they are composed from, or examples.
        val: on the host.
        layout: of composed images; None of others.
        digit_indices: of composed val images, where the digit images on them stand in their
            source; None of others.
        states: of each replicate to go on from, on the devices; consumed, the list too.
        replicates: what they have left so far, in the order of the run's seeds.
        means: of replicates, and who is told them.

    Raises:
        Interrupted: if a signal has come; what was trained is saved, within an epoch too.
    """
    task, headline = run.task, run.task.metrics[0]
    data = program.put_everywhere(_without_labels(data), run.mesh)
    held_out = program.put_split(val.inputs, val.targets, run.mesh)
    first = _behind(run, replicates)
    done = len(replicates[first[0]].history)
    part = _restore_part(run, replicates, first, states)
    state = program.stack(states, run.mesh)
    waiting = {place: each for place, each in enumerate(states) if place not in first}
    states.clear()
    started = time.perf_counter()
    segments = Segments(run, layout, data, state, epoch_keys(run, done))
    read_split: Any = program.create_read_split(run.model, task, run.mesh)
    read_split = program.compiled(
        read_split,
        run.mesh,
        f"val of {run.about}",
        state.params,
        held_out,
        static=(len(val.inputs),),
    )
    compile_seconds = time.perf_counter() - started
    logging.info("compiled in %.1f s", compile_seconds)
    hosts.meet()  # CPUs give up where one computes for 30 s with another that still compiles
    read_split = profiling.timed(profiling.READING, read_split)

    begun: program.Epoch | None = segments.first
    seconds, train_seconds = part.seconds
    _read_highest(run, replicates, val.targets, lambda params: read_split(params, held_out))
    done, total = (min(len(each.history) for each in replicates), run.epochs)
    quiet = None if hosts.first() else True  # None: unless there is a terminal to show it on
    bar = tqdm(total=total, initial=done, desc="training", unit="epoch", disable=quiet)
    with stopping.deferred(hosts.largest) as stops, bar as progress:
        while not stops() and (training := _behind(run, replicates)):
            done = len(replicates[training[0]].history)
            for place in [place for place in training if place in waiting]:
                state = program.put_replicate(state, place, waiting.pop(place))

            def show(steps: int, epoch: int = done + 1) -> None:
                progress.set_postfix(step=f"{steps}/{run.steps}")
                if progress.disable:
                    logging.info("epoch %d/%d  step %d of %d", epoch, total, steps, run.steps)

            keys = epoch_keys(run, done)
            started = time.perf_counter()
            with jax.transfer_guard("disallow"):
                begun = segments.begin(keys) if begun is None else begun
                state, part = segments.take(state, part, begun, stops, show)
                begun = None
                train_seconds += time.perf_counter() - started
                if part.steps < run.steps:
                    seconds += time.perf_counter() - started
                    part = part._replace(seconds=(seconds, train_seconds))
                    break
                predictions = read_split(state.inference_params, held_out)
            steps, predictions = program.fetch((part.measured, predictions))
            part = Part.nothing(run)
            seconds += time.perf_counter() - started
            times = {
                "seconds": seconds / len(replicates),
                "train_seconds": train_seconds / len(replicates),
                "compile_seconds": compile_seconds / len(replicates),
            }
            for place in training:
                own_steps, own_predictions = program.replicate_of((steps, predictions), place)
                try:
                    _after_epoch(
                        run.of_candidate(place),
                        replicates[place],
                        val.targets,
                        digit_indices,
                        own_steps,
                        own_predictions,
                        program.replicate_of(state, place),
                        times,
                    )
                except (NotFinite, Stopped) as error:
                    replicates[place].failure = error
                    if _behind(run, replicates):
                        logging.error("%s stops: %s", run.name(place), error)
            for mean in means:
                _tell(run, replicates, mean)
            line = mean_line(run, replicates, done + 1)
            if line is None:
                continue
            measured = line["val"][headline]
            shown = {
                "loss": f"{line['train']['loss']:.4f}",
                f"val {metric_text(headline).partition(' (')[0]}": f"{measured:.4f}",
            }
            progress.set_postfix(shown)
            progress.update()
            if progress.disable:
                left = seconds / (done + 1) * (total - done - 1)
                logging.info(
                    "epoch %d/%d  %s  %.1f s, %.0f s left",
                    done + 1,
                    total,
                    "  ".join(f"{name} {value}" for name, value in shown.items()),
                    seconds,
                    left,
                )
        if part.steps:
            _save_part(run, replicates, _behind(run, replicates), state, part)
        for each in replicates:
            each.checkpoints.wait()
        hosts.meet()


class Part(NamedTuple):
    """How much of an epoch is trained.

    Attributes:
        steps: that were taken of it.
        measured: by them, float32 [replicates, steps of the epoch], on the devices.
        seconds: of all training so far with reading val, and of training alone, over all
            replicates.
    """

    steps: int
    measured: StepMetrics
    seconds: tuple[float, float]

    @classmethod
    def nothing(cls, run: Run) -> "Part":
        """Returns an epoch of which no step was taken."""
        none = StepMetrics._make([np.zeros(run.steps, np.float32)] * len(StepMetrics._fields))
        return cls(0, program.stack([none] * len(run.seeds), run.mesh), (0.0, 0.0))


def epoch_keys(run: Run, epoch: int) -> jax.Array:
    """Returns the key of an epoch of each replicate."""
    return program.put_stacked(run_keys(run.seeds, epoch), run.mesh)


class Segments:
    """Takes the steps of an epoch, some at a time, between which a training can be stopped.

    Args:
        run: what is trained.
        layout: of composed images; None of others.
        data: training images, on the devices.
        state: of the replicates, stacked.
        keys: of the first epoch that is trained.

    Attributes:
        data: training images, on the devices.
        first: what is drawn of the first epoch.
    """

    def __init__(
        self, run: Run, layout: Layout | None, data: Any, state: TrainState, keys: jax.Array
    ):
        self._run, self.data = run, data
        about = f"{layout}, of {run.about}"
        self._numbers = (run.numbers,) if run.numbers else ()
        own_config, own = (run.own_config, run.own) if run.numbers else (None, None)
        begin: Any = program.create_begin_epoch(run.config, run.steps, layout, run.mesh, own_config)
        begin = program.compiled(
            begin, run.mesh, f"begin of an epoch, {about}", data, keys, *self._numbers
        )
        hosts.meet()  # see `train`
        self._begin = profiling.timed(profiling.STEPPING, begin)
        self.first: program.Epoch = self.begin(keys)
        take: Any = program.create_train_segment(
            run.model, run.task, run.optimizer, run.config, run.steps, layout, run.mesh, own
        )
        self._take = program.compiled(
            take,
            run.mesh,
            f"segment, {about}",
            state,
            Part.nothing(run).measured,
            data,
            self.first,
            self._place(0),
            self._place(0),
            *self._numbers,
        )
        self._at_once = program.steps_at_once(run.steps, run.mesh)
        self._length = self._at_once  # of the first, by which others are measured

    def begin(self, keys: jax.Array) -> program.Epoch:
        """Draws what the steps of an epoch need."""
        return self._begin(self.data, keys, *self._numbers)

    def take(
        self,
        state: TrainState,
        part: Part,
        epoch: program.Epoch,
        stops: Callable[[], bool] = lambda: False,
        show: Callable[[int], None] = lambda steps: None,
    ) -> tuple[TrainState, Part]:
        """Takes the steps that an epoch has left, or fewer, where it is to stop.

        Shows how many were taken, as often as it looks whether to stop.
        """
        first, measured = part.steps, part.measured
        while first < self._run.steps and not stops():
            last = min(first + self._length, self._run.steps)
            started = time.perf_counter()
            with profiling.stepping((last - first) * len(self._run.seeds)):
                places = self._place(first), self._place(last)
                state, measured = jax.block_until_ready(
                    self._take(state, measured, self.data, epoch, *places, *self._numbers)
                )
            self._adapt((time.perf_counter() - started) / (last - first))
            first = last
            if self._at_once < first < self._run.steps:
                show(first)
        return state, part._replace(steps=first, measured=measured)

    def _adapt(self, seconds: float) -> None:
        """Has the next segment take `config.training.segment_seconds`, if steps take so long."""
        wanted = self._run.config.training.segment_seconds
        steps = int(wanted / seconds) if wanted else self._run.steps
        self._length = hosts.largest(max(1, -(-steps // self._at_once)) * self._at_once)

    def _place(self, step: int) -> jax.Array:
        return program.put_everywhere(np.int32(step), self._run.mesh)


def _restore_part(
    run: Run, replicates: Sequence[Replicate], training: list[int], states: list[TrainState]
) -> Part:
    """Puts the states of an epoch that was stopped in place of those before; returns its part.

    It begins anew if not all replicates that train have saved the same part.
    """
    part, epoch = Part.nothing(run), len(replicates[training[0]].history) + 1
    seconds: list[Any] = [
        [each.history[-1][name] if each.history else 0.0 for name in ("seconds", "train_seconds")]
        for each in replicates
    ]
    saved = {replicates[place].checkpoints.steps_within(epoch) for place in training}
    if len(saved) > 1 or not (steps := saved.pop()):
        return part._replace(seconds=tuple(np.sum(seconds, 0).tolist()))
    measured = [program.replicate_of(part.measured, place) for place in range(len(replicates))]
    for place in training:
        like = Within(run.state_shapes(), measured[place], np.zeros(2))
        found = replicates[place].checkpoints.restore_within(epoch, steps, like)
        states[place], measured[place], seconds[place] = found
    logging.info("going on within epoch %d, after %d of %d steps", epoch, steps, run.steps)
    return Part(steps, program.stack(measured, run.mesh), tuple(np.sum(seconds, 0).tolist()))


def _save_part(
    run: Run, replicates: Sequence[Replicate], training: list[int], state: TrainState, part: Part
) -> None:
    """Saves of the replicates that train what there is of an epoch."""
    for place in training:
        own_state, measured = program.replicate_of((state, part.measured), place)
        within = Within(own_state, measured, np.asarray(part.seconds) / len(replicates))
        checkpoints = replicates[place].checkpoints
        checkpoints.save_within(len(replicates[place].history) + 1, part.steps, within)


def _behind(run: Run, replicates: Sequence[Replicate]) -> list[int]:
    """Returns the places of those that have the fewest epochs, of those that have some left."""
    going = {
        place: len(each.history)
        for place, each in enumerate(replicates)
        if each.failure is None and not finished(run, each.history)
    }
    return [place for place, epochs in going.items() if epochs == min(going.values())]


def _tell(run: Run, replicates: Sequence[Replicate], mean: Mean) -> None:
    """Tells the epochs that none of some replicates lacks which trains, and that are not told."""
    own = [replicates[place] for place in mean.places]
    behind = _behind(run, own)
    lengths = [len(each.history) for each in own]
    known = lengths[behind[0]] if behind else max(lengths)
    for epoch in range(mean.told + 1, known + 1):
        line = mean_line(run, own, epoch)
        mean.told = epoch
        try:
            if line is not None:
                mean.tell(line)
        except Stopped as stopped:
            for each in own:
                each.failure = each.failure or stopped


def _read_highest(
    run: Run,
    replicates: Sequence[Replicate],
    targets: np.ndarray,
    read: Callable[[optax.Params], Predictions],
) -> None:
    """Reads val again with the checkpoints that were the best before a run was stopped."""
    begun = [(place, each) for place, each in enumerate(replicates) if each.history]
    if not begun:
        return
    shapes = run.state_shapes().params
    restored = {
        place: each.checkpoints.restore_params(highest_epoch(run, each.history), shapes)
        for place, each in begun
    }
    some = next(iter(restored.values()))
    stacked = program.stack(
        [restored.get(place, some) for place in range(len(replicates))], run.mesh
    )
    predictions = program.fetch(read(stacked))
    for place, each in begun:
        own = program.replicate_of(predictions, place)
        each._outcomes[highest_epoch(run, each.history)] = run.task.outcomes(targets, own)


def _after_epoch(
    run: Run,
    replicate: Replicate,
    targets: np.ndarray,
    digit_indices: Int[np.ndarray, "n K"] | None,
    steps: StepMetrics,
    predictions: Predictions,
    state: TrainState,
    times: Mapping[str, float],
) -> None:
    """Logs and saves what an epoch made of a replicate.

    Raises:
        NotFinite: if its loss is not.
    """
    task, history = run.task, replicate.history
    measured = task.progress(targets, predictions)
    stop_if_not_finite(
        np.append(steps.loss, measured.get("nll", measured[task.metrics[0]])),
        len(history) * run.steps,
        replicate.checkpoints,
    )
    epoch = len(history) + 1
    line: dict[str, Any] = {
        "step": epoch * run.steps,
        "epoch": epoch,
        **times,
        "train": {"loss": float(steps.loss.mean()), task.right_name: float(steps.right.mean())},
        "val": measured,
    }
    replicate.tracker.log_steps(step_lines(run, steps, len(history)))
    history.append(line)
    replicate.tracker.log_epoch(line)
    outcomes = replicate._outcomes
    outcomes[epoch] = task.outcomes(targets, predictions)
    highest = highest_epoch(run, history)
    best = best_epoch(run, epoch, highest, outcomes, digit_indices)
    replicate.checkpoints.save(epoch, state, line["val"], best, keep={highest})
    replicate._outcomes = {highest: outcomes[highest]}


def mean_line(run: Run, replicates: Sequence[Replicate], epoch: int) -> dict[str, Any] | None:
    """Returns the mean of the replicates' lines of an epoch, of several the headline of each too.

    None where no replicate has the epoch.
    """
    lines = [each.history[epoch - 1] for each in replicates if len(each.history) >= epoch]
    if len(lines) < 2:
        return lines[0] if lines else None
    headline = run.task.metrics[0]
    return {
        **lines[0],
        **{split: pooled([line[split] for line in lines]) for split in ("train", "val")},
        "replicates": [line["val"][headline] for line in lines],
    }


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


class NotFinite(UserError):
    """A loss that is not finite."""


def stop_if_not_finite(losses: np.ndarray, steps_before: int, checkpoints: Checkpoints) -> None:
    """Checks the losses of an epoch's steps and, last, the one of val after them.

    Raises:
        NotFinite: names the step at which a loss is not finite, and the last good checkpoint.
    """
    if np.isfinite(losses).all():
        return
    step = steps_before + min(int(np.argmin(np.isfinite(losses))) + 1, len(losses) - 1)
    checkpoints.wait()
    good = checkpoints.latest()
    where = f"the last good checkpoint is epoch {good}" if good else "no epoch was finished before"
    raise NotFinite(
        f"the loss is not finite ({losses[~np.isfinite(losses)][0]}) at step {step}; {where}; "
        "lower config.optimizer.learning_rate or set config.optimizer.gradient_clip."
    )


def _without_labels(data: Stream | Examples) -> Stream | Examples:
    """Drops what training does not look at."""
    return data._replace(labels=None) if isinstance(data, Examples) else data
