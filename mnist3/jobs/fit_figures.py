"""The figures of a fitted estimator's run: which a task has, and what goes into each.

All but class balance are of val: who looks for mistakes in order to mend them must not look at
test.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from absl import logging
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3.data.augmentation import augmented_copies
from mnist3.data.dataset import Dataset
from mnist3.errors import UserError
from mnist3.estimators import FlaxClassifier, FlaxDenoiser
from mnist3.evaluation import curves, error_analysis, inspection
from mnist3.evaluation.answers import Answer
from mnist3.evaluation.classification import confusion
from mnist3.jobs import fit_output, study
from mnist3.reporting import (
    classification_figures,
    drawing,
    image_figures,
    report,
    study_figures,
)
from mnist3.reporting import figures as number_figures
from mnist3.tasks import Task

WANTED_PRECISION = 0.9
COPIES = 6  # of an image that is augmented
SHOWN = 24  # images of the worst and of the suspected


class View(NamedTuple):
    """What the figures of a run show.

    Attributes:
        task: that was learned.
        examples: by split.
        val: what the estimator says of val.
        name: of the estimator.
        data: what the images are.
        augmentation: of a Flax model; empty for others.
        search_results: what a search for parameters tried; None without one.
    """

    task: Task
    examples: Mapping[str, study.Examples]
    val: Answer
    name: str
    data: str
    augmentation: dict[str, Any]
    search_results: Mapping[str, Any] | None

    @property
    def about(self) -> str:
        """What the estimator read, for a title."""
        return f"{self.name} on {self.data}, val"


def draw(
    config: ConfigDict,
    dataset: Dataset,
    task: Task,
    examples: Mapping[str, study.Examples],
    val: Answer,
    search_results: Mapping[str, Any] | None,
    folder: str,
) -> list[str]:
    """Draws the figures of a run into its folder and returns their files in reading order."""
    view = view_of(config, dataset, task, examples, val, search_results)
    drawn = {}
    for name in ("search", *task.figures, *_OF_NETWORKS):
        try:
            figure = DRAWERS[name](view)
        except UserError as error:
            logging.info("no figure %s: %s", name, error)
            continue
        if figure is not None:
            drawn[name] = figure
    return drawing.save_all(drawn, folder)


def view_of(
    config: ConfigDict,
    dataset: Dataset,
    task: Task,
    examples: Mapping[str, study.Examples],
    val: Answer,
    search_results: Mapping[str, Any] | None,
) -> View:
    """Returns what the figures of a run show."""
    data = study.data_text(task, dataset.source)
    names = [name for name in configs.base().augmentation if name in config.estimator.parameters]
    augmentation = {name: config.estimator.parameters[name] for name in names}
    return View(task, examples, val, config.estimator.name, data, augmentation, search_results)


def detector_scores(task: Task, said: Answer, targets: np.ndarray) -> dict[str, tuple]:
    """Returns targets and scores of each detector in a task: the positive class, or each label."""
    if said.scores is None:
        return {}
    if task.kind == "binary":
        return {task.classes[1]: (targets == 1, said.scores)}
    return {
        label: (targets[:, column] == 1, said.scores[:, column])
        for column, label in enumerate(task.classes)
    }


def _search(view: View) -> Figure | None:
    if view.search_results is None:
        return None
    score = "accuracy" if view.task.kind != "denoise" else "negative RMSE"
    return study_figures.search_heat_map(
        view.search_results, score, f"{view.name} on {view.data}, cross-validation on train"
    )


def _confusion(view: View) -> Figure:
    counts = confusion(view.examples["val"].targets, view.val.predictions, len(view.task.classes))
    return classification_figures.confusion(counts, view.task.classes, view.about)


def _detectors(view: View) -> dict[str, tuple]:
    found = detector_scores(view.task, view.val, view.examples["val"].targets)
    if view.task.kind == "multilabel":
        return found
    return dict(zip((view.name,), found.values(), strict=False))


def _chosen(curve: curves.PrecisionRecall) -> curves.OperatingPoint | None:
    """Returns the point of the wanted precision, None where no threshold has it."""
    if curve.precision.max() < WANTED_PRECISION:
        return None
    return curves.threshold_for_precision(curve, WANTED_PRECISION)


def _thresholds(view: View) -> Figure | None:
    for targets, scores in _detectors(view).values():
        curve = curves.precision_recall(targets, scores)
        chosen = _chosen(curve)
        wish = "wanted" if chosen else "is out of reach"
        return classification_figures.thresholds(
            curve, chosen, f"{view.about}; a precision of 90 % {wish}"
        )
    return None


def _precision_recall(view: View) -> Figure | None:
    found = {name: curves.precision_recall(*each) for name, each in _detectors(view).items()}
    if not found:
        return None
    chosen = {name: point for name, curve in found.items() if (point := _chosen(curve))}
    return classification_figures.precision_recall_curves(found, view.about, chosen)


def _roc(view: View) -> Figure | None:
    found = {name: curves.roc(*each) for name, each in _detectors(view).items()}
    return classification_figures.roc_curves(found, view.about) if found else None


def _reliability(view: View) -> Figure | None:
    sure = fit_output.confidences(view.task, view.val)
    if sure is None:
        return None
    targets = view.examples["val"].targets[:, None]
    return number_figures.reliability(
        np.clip(sure, 0, 1), targets, view.val.predictions[:, None], view.about
    )


def _worst_images(view: View) -> Figure | None:
    if view.val.probabilities is None:
        return None
    val, probabilities = view.examples["val"], view.val.probabilities
    if view.task.kind == "multilabel":
        of_truth = np.where(val.targets, probabilities, 1 - probabilities)
        losses = -np.log(np.maximum(of_truth, np.finfo(of_truth.dtype).eps)).sum(axis=1)
    else:
        losses = error_analysis.log_losses(val.targets, probabilities)
    shown = error_analysis.worst(losses, SHOWN)
    return image_figures.worst(
        val.images[shown],
        _texts(view.task, val.targets[shown]),
        _texts(view.task, view.val.predictions[shown]),
        losses[shown],
        view.about,
    )


def _pair_gallery(view: View) -> Figure | None:
    val, predictions = view.examples["val"], view.val.predictions
    counts = confusion(val.targets, predictions, len(view.task.classes))
    confused = error_analysis.most_confused(counts, 1)
    if not confused:
        return None
    first, second = confused[0].target, confused[0].prediction
    sure = fit_output.confidences(view.task, view.val)
    if sure is None:
        sure = np.zeros(len(predictions))
    gallery = error_analysis.pair_gallery(val.targets, predictions, sure, first, second)
    quarters = [val.images[indices] for indices in gallery]
    names = (view.task.classes[first], view.task.classes[second])
    return image_figures.pair_gallery(
        (quarters[:2], quarters[2:]), names, f"the most confused pair, {view.about}"
    )


def _label_errors(view: View) -> Figure | None:
    if view.val.probabilities is None:
        return None
    val = view.examples["val"]
    found = error_analysis.suspected_label_errors(val.targets, view.val.probabilities)[:SHOWN]
    if not len(found):
        return None
    taken_for = view.val.probabilities[found].argmax(axis=1)
    return image_figures.suspects(
        val.images[found],
        _texts(view.task, val.targets[found]),
        _texts(view.task, taken_for),
        view.val.probabilities[found, taken_for],
        view.about,
    )


def _cleaned(view: View) -> Figure:
    val = view.examples["val"]
    return image_figures.denoising(
        study.as_images(val.features),
        study.as_images(view.val.predictions),
        val.images,
        view.about,
    )


def _class_balance(view: View) -> Figure:
    if view.task.kind in ("multiclass", "binary"):
        targets = {split: each.targets[:, None] for split, each in view.examples.items()}
        return number_figures.class_balance(targets, view.task.classes, view.data)
    digits = {split: each.digits[:, None] for split, each in view.examples.items()}
    return number_figures.class_balance(digits, tuple(map(str, range(10))), view.data)


def _digit_grid(view: View) -> Figure:
    return image_figures.digit_grid(view.examples["train"].images, f"{view.data}, train")


def _digit(view: View) -> Figure:
    train = view.examples["train"]
    return image_figures.digit(train.images[0], str(train.digits[0]), f"{view.data}, train")


def _network(view: View) -> tuple | None:
    """Returns module, parameters and the first val images as a Flax model sees them, if it does."""
    fitted = view.val.fitted
    if not isinstance(fitted, FlaxClassifier | FlaxDenoiser):
        return None
    module, params, inputs = fitted.network(view.examples["val"].features[:6])
    return (module, params, inputs) if inputs.ndim == 3 else None


def _learning_curve(view: View) -> Figure | None:
    if not view.val.loss_curve:
        return None
    return study_figures.loss_curve(view.val.loss_curve, f"{view.name} on {view.data}, train")


def _filters(view: View) -> Figure | None:
    if (network := _network(view)) is None:
        return None
    return image_figures.filters(
        inspection.first_filters(network[1]), f"{view.name} on {view.data}"
    )


def _feature_maps(view: View) -> Figure | None:
    if (network := _network(view)) is None:
        return None
    module, params, inputs = network
    digit = view.examples["val"].digits[0]
    maps = inspection.feature_maps(module, params, jnp.asarray(inputs[0]))
    return image_figures.feature_maps(inputs[0], maps, f"{view.about}, a {digit}")


def _saliency(view: View) -> Figure | None:
    if view.task.kind == "denoise" or (network := _network(view)) is None:
        return None
    module, params, inputs = network
    gradients = inspection.input_gradients(
        lambda images: module.apply({"params": params}, images), jnp.asarray(inputs)
    )
    names = _texts(view.task, view.val.predictions[: len(inputs)])
    return image_figures.saliency(inputs, np.asarray(gradients), names, view.about)


def _augmented(view: View) -> Figure | None:
    on = {name: value for name, value in view.augmentation.items() if value}
    if not on:
        return None
    images = view.examples["train"].images[:5]
    section = configs.base().augmentation
    section.update(on)
    copies = augmented_copies(images, section, COPIES)
    return image_figures.augmented(
        images, copies, f"{view.data}, train; {report.settings_text(on)}"
    )


def _texts(task: Task, targets: np.ndarray) -> list[str]:
    return [fit_output.class_text(task, target) for target in targets]


_OF_NETWORKS = ("learning_curve", "filters", "feature_maps", "saliency", "augmented")
DRAWERS: dict[str, Callable[[View], Figure | None]] = {
    "search": _search,
    "confusion": _confusion,
    "thresholds": _thresholds,
    "precision_recall": _precision_recall,
    "roc": _roc,
    "reliability": _reliability,
    "worst_images": _worst_images,
    "pair_gallery": _pair_gallery,
    "label_errors": _label_errors,
    "cleaned": _cleaned,
    "class_balance": _class_balance,
    "digit_grid": _digit_grid,
    "digit": _digit,
    "learning_curve": _learning_curve,
    "filters": _filters,
    "feature_maps": _feature_maps,
    "saliency": _saliency,
    "augmented": _augmented,
}
