"""The pictures of a result: which there are, and what goes into each.

A picture is a function from a result to a figure or to the plan of one, which is drawn elsewhere,
or to None where there is nothing to show, and a line in `PICTURES`. Mistakes are shown of val where
there is a val: who looks for them in order to mend them must not look at test. Errors by position
and class balance are of all splits at hand; what augmentation does, and the digits as they are, of
train.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from mnist3.data import augmentation, numbers
from mnist3.errors import UserError, nearest
from mnist3.evaluation import curves, error_analysis, inspection, strings
from mnist3.evaluation.classification import confusion as count_confusions
from mnist3.evaluation.words import settings_text
from mnist3.reporting.drawers import Drawn, Plan, plan
from mnist3.results import Result
from mnist3.training import kept

if TYPE_CHECKING:
    import matplotlib.figure

FEW = (  # of which a run that is to draw few has those that go with it
    "comparison",
    "replicates",
    "learning_curves",
    "learning_curve",
    "confusion",
    "misread",
    "worst_images",
    "cleaned",
)
COPIES = 6  # of an image that is augmented
LOOKED_AT = 4  # images with the pixels that speak for what was predicted
SHOWN = 24  # images of a gallery
WANTED_PRECISION = 0.9


def draw(name: str, result: Result) -> "matplotlib.figure.Figure":
    """Returns a picture of a result by its file name.

    Raises:
        UserError: if there is none of this name, or it has nothing to show.
    """
    keys = names(result)
    if name not in keys:
        raise UserError(
            f"there is no figure {name!r}; did you mean {nearest(name, list(keys))!r}? "
            f"There are {', '.join(keys)}."
        )
    drawn = PICTURES[keys[name]](result)
    if drawn is None:
        raise UserError(f"the figure {name} does not go with this task and estimator.")
    return drawn.draw() if isinstance(drawn, Plan) else drawn


def names(result: Result) -> dict[str, str]:
    """Returns what draws each picture of a result, by its file name, in reading order."""
    return {
        "search": "search",
        "replicates": "replicates",
        **result.task.pictures,
        **{name: name for name in OF_LEARNERS},
    }


def draw_all(result: Result, only: Collection[str] | None = None) -> Iterator[tuple[str, Drawn]]:
    """Gives name and plan or figure of each picture of a result that has something to show.

    Args:
        result: of which.
        only: names of pictures, where not all are wanted.
    """
    for name, key in names(result).items():
        wanted = only is None or name in only
        if wanted and (drawn := PICTURES[key](result)) is not None:
            yield name, drawn


def _spread(count: int, n: int) -> slice:
    """Returns so many places among n; images may be in the order of their numbers."""
    return slice(0, None, -(-n // count))


def search(result: Result) -> Plan | None:
    """Draws what a search of settings tried."""
    if result.learned.search_results is None:
        return None
    score = result.task.scoring.replace("neg_root_mean_squared_error", "negative RMSE")
    about = f"{result.learned.name} on {result.data}, cross-validation on train"
    return plan("study_figures.search_heat_map", result.learned.search_results, score, about)


def learning_curves(result: Result) -> Plan | None:
    """Draws loss and headline by epoch."""
    if not result.learned.history:
        return None
    about = f"{result.learned.name} on {result.data}"
    return plan(
        "learning_figures.learning_curves",
        result.learned.history,
        about,
        metric=result.task.metrics[0],
        higher_is_better=result.task.higher_is_better,
        loss_unit=result.task.loss_unit,
        kept=result.learned.training.get("checkpoint_epoch"),
    )


def histories(result: Result) -> dict[int, Sequence[dict[str, Any]]]:
    """Returns the history of each replicate by its seed; {} of a single one, or without epochs."""
    found = {each.config.seed: each.learned.history for each in result.runs}
    return found if len(found) > 1 and all(found.values()) else {}


def replicates(result: Result) -> Plan | None:
    """Draws the headline of val by epoch of each replicate, and their mean."""
    found = histories(result)
    if not found:
        return None
    return plan(
        "learning_figures.replicate_curves",
        {result.learned.name: found},
        f"{result.learned.name} on {result.data}",
        metric=result.task.metrics[0],
        higher_is_better=result.task.higher_is_better,
    )


def learning_curve(result: Result) -> Plan | None:
    """Draws the loss of each pass over the data."""
    if not result.learned.loss_curve:
        return None
    about = f"{result.learned.name} on {result.data}, train"
    return plan("learning_figures.loss_curve", result.learned.loss_curve, about)


def position_accuracy(result: Result) -> Plan:
    """Draws the share of right digits at each position."""
    right = {
        split: each.values == result.examples[split].targets
        for split, each in result.predictions.items()
    }
    about = f"{result.learned.name} on {result.data}"
    digit_images = {split: result.dataset.digit_indices_of(split) for split in right}
    return plan("figures.position_accuracy", right, about, digit_images)


def accuracy_by_length(result: Result) -> Plan:
    """Draws the share of images read right by how many digits they show."""
    right = {
        split: result.task.outcomes(result.examples[split].targets, each)
        for split, each in result.predictions.items()
    }
    return plan(
        "figures.accuracy_by_length",
        right,
        {split: strings.lengths(result.examples[split].targets) for split in right},
        f"{result.learned.name} on {result.data}",
        {split: result.dataset.digit_indices_of(split) for split in right},
    )


def misread(result: Result) -> Plan:
    """Draws the misread numbers, the most confident first."""
    examples, predictions = result.shown
    return plan(
        "figures.misread",
        examples.inputs,
        examples.targets,
        predictions.values,
        predictions.confidence,
        result.task.classes,
        result.about,
        digit_images=result.dataset.digit_indices_of(result.split),
    )


def position_confusion(result: Result) -> Plan:
    """Draws which digit was read as which at each position."""
    examples, predictions = result.shown
    return plan(
        "figures.position_confusion",
        examples.targets,
        predictions.values,
        result.task.classes,
        result.about,
    )


def confusion(result: Result) -> Plan:
    """Draws which class was taken for which."""
    examples, predictions = result.shown
    classes = result.task.classes
    counts = count_confusions(examples.targets, predictions.values, len(classes))
    return plan(
        "classification_figures.confusion",
        counts,
        classes,
        result.about,
        result.dataset.example_word,
    )


def reliability(result: Result) -> Plan | None:
    """Draws how often predictions of a confidence are right."""
    examples, predictions = result.shown
    if predictions.confidence is None:
        return None
    n = len(predictions)
    before = None
    if result.calibrator.n:
        raw = result.learned.decode(result.learned.raw(examples.inputs))
        before = np.clip(raw.confidence, 0, 1)
    return plan(
        "figures.reliability",
        np.clip(predictions.confidence, 0, 1),
        examples.targets.reshape(n, -1),
        predictions.values.reshape(n, -1),
        result.about,
        result.dataset.digit_indices_of(result.split),
        before=before,
        error=result.reliance(result.split)["ece"],
    )


def risk_coverage(result: Result) -> Plan | None:
    """Draws the share of errors among what is read, by how much is read."""
    predictions = result.shown[1]
    if predictions.confidence is None:
        return None
    return plan(
        "figures.risk_coverage",
        np.clip(predictions.confidence, 0, 1),
        result.outcomes(result.split),
        result.about,
        result.calibrator.threshold,
    )


def examples(result: Result) -> Plan:
    """Draws images with their labels."""
    shown = result.shown[0]
    rows = _spread(SHOWN, len(shown.inputs))
    about = f"{result.data}, {result.split}"
    return plan(
        "figures.examples", shown.inputs[rows], shown.targets[rows], result.task.classes, about
    )


def position_balance(result: Result) -> Plan:
    """Draws how often each class stands at each position of each split."""
    dataset: Any = result.dataset
    return plan(
        "figures.class_balance",
        dataset.numbers,
        dataset.classes,
        result.data,
        composed=dataset.stream is not None,
    )


def class_balance(result: Result) -> Plan:
    """Draws how many examples each class has in each split."""
    targets = {split: each.targets[:, None] for split, each in result.examples.items()}
    return plan(
        "figures.class_balance",
        targets,
        result.task.classes,
        result.data,
        examples=result.dataset.example_word,
    )


def _chosen(curve: curves.PrecisionRecall) -> curves.OperatingPoint | None:
    """Returns the point of the wanted precision, None where no threshold has it."""
    if curve.precision.max() < WANTED_PRECISION:
        return None
    return curves.threshold_for_precision(curve, WANTED_PRECISION)


def detectors(result: Result) -> dict[str, tuple]:
    """Returns truth and score of each detector: the learner's, or those of its labels."""
    examples, predictions = result.shown
    found = result.task.detectors(examples.targets, predictions)
    if len(found) == 1:
        return dict(zip((result.learned.name,), found.values(), strict=True))
    return found


def thresholds(result: Result) -> Plan | None:
    """Draws precision and recall of a detector by its threshold."""
    found = list(detectors(result).values())
    if not found:
        return None
    curve = curves.precision_recall(*found[0])
    chosen = _chosen(curve)
    wish = "wanted" if chosen else "is out of reach"
    about = f"{result.about}; a precision of 90 % {wish}"
    return plan("classification_figures.thresholds", curve, chosen, about)


def precision_recall(result: Result) -> Plan | None:
    """Draws precision against recall of each detector."""
    found = {name: curves.precision_recall(*each) for name, each in detectors(result).items()}
    if not found:
        return None
    chosen = {name: point for name, curve in found.items() if (point := _chosen(curve))}
    return plan("classification_figures.precision_recall_curves", found, result.about, chosen)


def roc(result: Result) -> Plan | None:
    """Draws the ROC curve of each detector."""
    found = {name: curves.roc(*each) for name, each in detectors(result).items()}
    if not found:
        return None
    return plan(
        "classification_figures.roc_curves", found, result.about, result.dataset.example_word
    )


def roc_by_class(result: Result) -> Plan | None:
    """Draws the ROC curve of each class against the rest."""
    examples, predictions = result.shown
    if predictions.probabilities is None:
        return None
    drawn = {
        name: curves.roc(examples.targets == number, predictions.probabilities[:, number])
        for number, name in enumerate(result.task.classes)
        if 0 < (examples.targets == number).sum() < len(examples.targets)
    }
    about = f"{result.about}, each class against the rest"
    return plan("classification_figures.roc_curves", drawn, about, result.dataset.example_word)


def worst_images(result: Result) -> Plan | None:
    """Draws the images whose truth is least probable."""
    examples, predictions = result.shown
    if predictions.probabilities is None:
        return None
    losses = result.task.losses(examples.targets, predictions)
    rows = error_analysis.worst(losses, SHOWN)
    return plan(
        "image_figures.worst",
        examples.inputs[rows],
        result.task.texts(examples.targets[rows]),
        result.task.texts(predictions.values[rows]),
        losses[rows],
        result.about,
    )


def pair_gallery(result: Result) -> Plan | None:
    """Draws images of the two classes that are most often confused."""
    examples, predictions = result.shown
    classes = result.task.classes
    counts = count_confusions(examples.targets, predictions.values, len(classes))
    confused = error_analysis.most_confused(counts, 1)
    if not confused:
        return None
    first, second = confused[0].target, confused[0].prediction
    confidence = predictions.confidence
    if confidence is None:
        confidence = np.zeros(len(predictions))
    gallery = error_analysis.pair_gallery(
        examples.targets, predictions.values, confidence, first, second
    )
    quarters = [examples.inputs[rows] for rows in gallery]
    return plan(
        "image_figures.pair_gallery",
        (quarters[:2], quarters[2:]),
        (classes[first], classes[second]),
        f"the most confused pair, {result.about}",
    )


def label_errors(result: Result) -> Plan | None:
    """Draws images whose label is probably wrong."""
    examples, predictions = result.shown
    if predictions.probabilities is None:
        return None
    found = error_analysis.suspected_label_errors(examples.targets, predictions.probabilities)
    found = found[:SHOWN]
    if not len(found):
        return None
    taken_for = predictions.probabilities[found].argmax(axis=1)
    return plan(
        "image_figures.suspects",
        examples.inputs[found],
        result.task.texts(examples.targets[found]),
        result.task.texts(taken_for),
        predictions.probabilities[found, taken_for],
        result.about,
    )


def cleaned(result: Result) -> Plan:
    """Draws noisy images, cleaned and as they were."""
    examples, predictions = result.shown
    return plan(
        "image_figures.denoising",
        examples.inputs,
        predictions.values,
        examples.targets,
        result.about,
    )


def importance(result: Result) -> Plan | None:
    """Draws by how much accuracy falls where a column of a table is shuffled."""
    if result.importances is None:
        return None
    return plan(
        "study_figures.feature_importance",
        list(result.dataset.columns),
        result.importances,
        "accuracy",
        result.about,
    )


def digit_grid(result: Result) -> Plan:
    """Draws the first training images."""
    train: Any = result.dataset.splits["train"]
    return plan("image_figures.digit_grid", train.images, f"{result.data}, train")


def digit(result: Result) -> Plan:
    """Draws one training image with its grey levels."""
    train: Any = result.dataset.splits["train"]
    text = result.dataset.classes[train.labels[0, 0]]
    return plan("image_figures.digit", train.images[0], text, f"{result.data}, train")


def filters(result: Result) -> Plan | None:
    """Draws the first convolution's filters."""
    if (view := result.learned.network(result.shown[0].inputs[:1])) is None:
        return None
    try:
        kernels = inspection.first_filters(view.params)
    except UserError:
        return None
    about = f"{result.learned.name} on {result.data}{view.part}"
    return plan("image_figures.filters", kernels, about)


def feature_maps(result: Result) -> Plan | None:
    """Draws what each convolution makes of one image."""
    examples, _ = result.shown
    if (view := result.learned.network(examples.inputs[:1])) is None:
        return None
    maps = inspection.create_feature_maps(view.module, view.params)(view.inputs[0])
    if not maps:
        return None
    text = numbers.text(examples.labels[0], result.dataset.classes)
    windows = getattr(view.module, "crop_height", 0)
    about = f"{result.about}{view.part}, {'the first digit of ' if windows else ''}a {text}"
    return plan("image_figures.feature_maps", view.inputs[0], maps, about)


def saliency(result: Result) -> Plan | None:
    """Draws which pixels speak for what was predicted."""
    examples, predictions = result.shown
    rows = _spread(LOOKED_AT, len(predictions))
    view = result.learned.network(examples.inputs[rows])
    if view is None or predictions.confidence is None:
        return None
    gradients = kept.Program(
        jax.jit(functools.partial(inspection.input_gradients, view.module)),
        f"gradients by pixel of {view.module}",
    )(view.params, jnp.asarray(view.inputs))
    texts = result.task.texts(predictions.values[rows])
    return plan("image_figures.saliency", view.inputs, np.asarray(gradients), texts, result.about)


def augmented(result: Result) -> Plan | None:
    """Draws training images as augmentation distorts them."""
    on = {name: value for name, value in result.config.get("augmentation", {}).items() if value}
    if not on:
        return None
    dataset: Any = result.dataset
    if dataset.stream is not None:  # digits are augmented before they are composed
        pool = dataset.stream.pool
        images, what = pool.images[pool.start], f"digit images of {dataset.source}"
    elif "train" in dataset.splits:
        images, what = dataset.splits["train"].images, result.data
    else:
        return None
    shown = np.asarray(images[_spread(LOOKED_AT, len(images))])
    copies = augmentation.augmented_copies(shown, result.config.augmentation, COPIES)
    return plan("image_figures.augmented", shown, copies, f"{what}, train; {settings_text(on)}")


OF_LEARNERS = (
    "learning_curves",
    "learning_curve",
    "augmented",
    "filters",
    "feature_maps",
    "saliency",
)
PICTURES: Mapping[str, Callable[[Result], Drawn | None]] = {
    each.__name__: each
    for each in (
        search,
        replicates,
        learning_curves,
        learning_curve,
        position_accuracy,
        accuracy_by_length,
        misread,
        position_confusion,
        confusion,
        reliability,
        risk_coverage,
        examples,
        position_balance,
        class_balance,
        thresholds,
        precision_recall,
        roc,
        roc_by_class,
        worst_images,
        pair_gallery,
        label_errors,
        cleaned,
        importance,
        digit_grid,
        digit,
        augmented,
        filters,
        feature_maps,
        saliency,
    )
}
