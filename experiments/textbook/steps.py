"""The chapter's steps: a detector of fives, ten classes, two labels an image, noise, neighbours.

They are those of chapter 3 of A. Geron, Hands-On Machine Learning, 3rd edition; what it printed
stands in `published`. Estimators have scikit-learn's default parameters, pixels are grey levels
0-255 unless a step standardises them, and cross-validation has three folds, not shuffled, which are
stratified by class where an image has a single one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from experiments.textbook.published import Value, plain
from experiments.textbook.study import DIGIT, FOLDS, Study
from mnist3.data import variants
from mnist3.evaluation import classification, curves
from mnist3.reporting import classification_figures, image_figures, study_figures

PRECISION = 0.9  # the detector's threshold is the lowest that reaches it
SVC_IMAGES = 2_000  # an SVC takes long for more
CLEANED_IMAGES = 100
FIRST = np.arange(1)  # row number of the first image
ALL_DIGITS = tuple(map(str, range(10)))


class Picture(NamedTuple):
    """A picture to be drawn.

    Attributes:
        name: of its file, without folder and ending.
        draw: draws it; takes `arguments` and, for the title, `description`.
        description: what it is of.
        arguments: what to draw, by the function's own names.
    """

    name: str
    draw: Callable[..., Figure]
    description: str
    arguments: dict[str, Any]


class Finding(NamedTuple):
    """What a step found.

    Attributes:
        figures: values by name; what the book printed has the names of `published.PUBLISHED`.
        pictures: that the step has to show.
    """

    figures: dict[str, Value]
    pictures: tuple[Picture, ...] = ()


class Step(NamedTuple):
    """A step of the study.

    Attributes:
        part: of the study that it belongs to, one of `PARTS`.
        name: what it does, in a few words.
        weight: about how many seconds it takes with all of MNIST on two cores, for the progress
            bar.
        run: does it.
    """

    part: str
    name: str
    weight: float
    run: Callable[[Study], Finding]


def _dummy(study: Study) -> Finding:
    accuracy = cross_val_score(
        study.cached(DummyClassifier()), study.rows, study.is_digit, cv=FOLDS, scoring="accuracy"
    )
    return Finding({"dummy: accuracy of 3 folds": plain(accuracy)})


def _detector(study: Study) -> Finding:
    truth = study.is_digit
    scores, first = study.held_out_and_first(study.sgd(), truth)
    accuracy = cross_val_score(study.sgd(), study.rows, truth, cv=FOLDS, scoring="accuracy")
    predictions = cross_val_predict(study.sgd(), study.rows, truth, cv=FOLDS)
    counts = classification.confusion(truth.astype(int), predictions.astype(int), 2)
    curve = curves.precision_recall(truth, scores)
    point = curves.threshold_for_precision(curve, PRECISION)
    return Finding(
        {
            "SGD: accuracy of 3 folds": plain(accuracy),
            "SGD: confusion": plain(counts),
            **_rated("SGD", truth, predictions),
            f"SGD: threshold for {PRECISION:.0%} precision".replace("%", " %"): point.threshold,
            "SGD: precision at this threshold": point.precision,
            "SGD: recall at this threshold": point.recall,
            "SGD: area under the ROC curve": curves.roc(truth, scores).area,
            "SGD: score of the first image": float(first[0]),
        },
        (
            Picture(
                "detector_confusion",
                classification_figures.confusion,
                "SGD detector, 3 folds",
                {"counts": counts, "classes": (f"not {DIGIT}", f"{DIGIT}")},
            ),
            Picture(
                "thresholds",
                classification_figures.thresholds,
                f"SGD detector of {DIGIT}s, 3 folds",
                {"curve": curve, "chosen": point},
            ),
        ),
    )


def _rated(
    name: str, truth: Bool[np.ndarray, "n"], predictions: Bool[np.ndarray, "n"]
) -> dict[str, float]:
    """Returns a detector's precision, recall and F1."""
    return {
        f"{name}: precision": float(precision_score(truth, predictions, zero_division=0)),
        f"{name}: recall": float(recall_score(truth, predictions)),
        f"{name}: F1": float(f1_score(truth, predictions)),
    }


def _forest(study: Study) -> Finding:
    truth = study.is_digit
    forest = study.cached(
        RandomForestClassifier(random_state=study.seed, n_jobs=-1), ("predict_proba",)
    )
    probabilities = cross_val_predict(forest, study.rows, truth, cv=FOLDS, method="predict_proba")
    scores = probabilities[:, 1]
    unsure = truth[(scores > 0.5) & (scores < 0.6)]
    rated = {"SGD": study.detector_scores(), "random forest": scores}
    precision_recall = {name: curves.precision_recall(truth, each) for name, each in rated.items()}
    chosen = {"SGD": curves.threshold_for_precision(precision_recall["SGD"], PRECISION)}
    rocs = {name: curves.roc(truth, each) for name, each in rated.items()}
    what = f"detecting {DIGIT}s, 3 folds"
    return Finding(
        {
            "forest: probabilities of the first two images": plain(probabilities[:2]),
            "forest: 5s among probabilities 0.5 to 0.6": float(unsure.sum() / max(len(unsure), 1)),
            "forest: area under the ROC curve": rocs["random forest"].area,
            **_rated("forest, above 0.5", truth, scores > 0.5),
            **_rated("forest, from 0.5", truth, scores >= 0.5),
        },
        (
            Picture(
                "precision_recall",
                classification_figures.precision_recall_curves,
                what,
                {"curves": precision_recall, "chosen": chosen},
            ),
            Picture("roc", classification_figures.roc_curves, what, {"curves": rocs}),
        ),
    )


def _first_image(study: Study, estimator: BaseEstimator) -> tuple[int, Float[np.ndarray, "_"]]:
    """Returns the first image's class and scores by an estimator that is fitted to few images."""
    few = study.rows[:SVC_IMAGES]
    fitted = study.cached(estimator, ("predict", "decision_function"))
    fitted = fitted.fit(few, study.train_labels[few])
    return int(fitted.predict(FIRST)[0]), fitted.decision_function(FIRST)[0]


def _svc(study: Study) -> Finding:
    found, scores = _first_image(study, SVC(random_state=study.seed))
    one_vs_one = SVC(random_state=study.seed, decision_function_shape="ovo")
    pairs = _first_image(study, one_vs_one)[1]
    rest, rest_scores = _first_image(study, OneVsRestClassifier(SVC(random_state=study.seed)))
    return Finding(
        {
            "SVC: class of the first image": found,
            "SVC: scores of the 10 classes": plain(scores),
            "SVC one-vs-one: scores of the 45 pairs": plain(pairs),
            "SVC one-vs-rest: class of the first image": rest,
            "SVC one-vs-rest: classifiers": len(rest_scores),
        }
    )


def _ten_classes(study: Study) -> Finding:
    estimator, labels = study.sgd(), study.train_labels
    _, first = study.held_out_and_first(estimator, labels)
    accuracy = cross_val_score(estimator, study.rows, labels, cv=FOLDS, scoring="accuracy")
    return Finding(
        {
            "SGD, 10 classes: class of the first image": int(first[0].argmax()),
            "SGD, 10 classes: scores of the first image": plain(first[0].round()),
            "SGD, 10 classes: accuracy of 3 folds": plain(accuracy),
        }
    )


def _ten_classes_scaled(study: Study) -> Finding:
    estimator, labels = study.sgd(study.scaled), study.train_labels
    predictions = study.held_out(estimator, labels)
    accuracy = cross_val_score(estimator, study.rows, labels, cv=FOLDS, scoring="accuracy")
    counts = classification.confusion(labels, predictions, 10)
    shares = classification.by_row(counts)
    return Finding(
        {
            "SGD, 10 classes, scaled: accuracy of 3 folds": plain(accuracy),
            "SGD, 10 classes, scaled: 5s found": float(shares[5, 5]),
            "SGD, 10 classes, scaled: 5s taken for 8s": float(shares[5, 8]),
        },
        (
            Picture(
                "confusion",
                classification_figures.confusion,
                "SGD on scaled pixels, 3 folds",
                {"counts": counts, "classes": ALL_DIGITS},
            ),
        ),
    )


def _labels(study: Study) -> Finding:
    targets = study.large_and_odd
    neighbours = study.cached(KNeighborsClassifier())
    predictions = cross_val_predict(neighbours, study.rows, targets, cv=FOLDS)
    first = neighbours.fit(study.rows, targets).predict(FIRST)[0]
    return Finding(
        {
            "KNN, large and odd: labels of the first image": plain(first),
            "KNN, large and odd: macro F1": float(f1_score(targets, predictions, average="macro")),
        }
    )


def _chain(study: Study) -> Finding:
    few = study.rows[:SVC_IMAGES]
    chain = study.cached(ClassifierChain(SVC(), cv=FOLDS, random_state=study.seed))
    first = chain.fit(few, study.large_and_odd[few]).predict(FIRST)[0]
    name = "chain of SVCs, large and odd: labels of the first image"
    return Finding({name: tuple(int(label) for label in first)})


def _noise(study: Study) -> Finding:
    shown = study.test_rows[:CLEANED_IMAGES]
    inputs = study.noisy()
    clean = study.images[shown]
    targets = study.images[: study.size].reshape(study.size, -1)
    fitted = study.cached(KNeighborsClassifier(), inputs=inputs).fit(study.rows, targets)
    cleaned = fitted.predict(shown).reshape(clean.shape)
    noisy = inputs[shown].reshape(clean.shape)

    def off(images: np.ndarray) -> float:
        return float(np.sqrt(((images.astype(np.float64) - clean) ** 2).mean()))

    return Finding(
        {
            f"noise: test images off by, {CLEANED_IMAGES} of them, grey levels": off(noisy),
            "noise: cleaned by KNN, off by, grey levels": off(cleaned),
        },
        (
            Picture(
                "cleaned",
                image_figures.denoising,
                "nearest neighbours, test images",
                {"noisy": noisy, "cleaned": cleaned, "clean": clean},
            ),
        ),
    )


def _neighbours(study: Study) -> Finding:
    return Finding({"KNN: test accuracy": _test_accuracy(study, {})})


def _grid(study: Study) -> Finding:
    search = study.best_neighbours()
    return Finding(
        {
            "KNN grid: best parameters": dict(search.best_params_),
            "KNN grid: best score": float(search.best_score_),
        },
        (
            Picture(
                "grid",
                study_figures.search_heat_map,
                "nearest neighbours, 5 folds",
                {"results": search.cv_results_, "score": "accuracy"},
            ),
        ),
    )


def _tuned(study: Study) -> Finding:
    best = study.best_neighbours().best_params_
    return Finding({"KNN tuned: test accuracy": _test_accuracy(study, best)})


def _shifted(study: Study) -> Finding:
    inputs, labels = study.with_copies()
    estimator = KNeighborsClassifier(**study.best_neighbours().best_params_)
    fitted = study.cached(estimator, inputs=inputs).fit(inputs.rows[: len(labels)], labels)
    predictions = fitted.predict(inputs.rows[len(labels) :])
    examples = study.images[:4]
    return Finding(
        {
            "KNN tuned, shifted copies: test accuracy": float(
                accuracy_score(study.test_labels, predictions)
            )
        },
        (
            Picture(
                "shifted",
                image_figures.augmented,
                "shifted by one pixel",
                {
                    "images": examples,
                    "copies": variants.shifted_copies(examples),
                    "names": variants.COPIES,
                },
            ),
        ),
    )


def _test_accuracy(study: Study, parameters: dict[str, Any]) -> float:
    fitted = study.cached(KNeighborsClassifier(**parameters)).fit(study.rows, study.train_labels)
    return float(accuracy_score(study.test_labels, fitted.predict(study.test_rows)))


STEPS = (
    Step("binary", "dummy detector", 2, _dummy),
    Step("binary", "SGD detector, 3 folds and all images", 26, _detector),
    Step("binary", "random forest detector, 3 folds", 27, _forest),
    Step("multiclass", "SVC on the first images", 2, _svc),
    Step("multiclass", "SGD on ten classes, 3 folds and all images", 207, _ten_classes),
    Step("multiclass", "SGD on ten classes, scaled, 3 folds", 448, _ten_classes_scaled),
    Step("multilabel", "nearest neighbours, large and odd, 3 folds", 43, _labels),
    Step("multilabel", "chain of SVCs, large and odd", 1, _chain),
    Step("noise", "nearest neighbours cleaning noise", 4, _noise),
    Step("neighbours", "nearest neighbours, test", 11, _neighbours),
    Step("neighbours", "nearest neighbours, grid search", 12, _grid),
    Step("neighbours", "nearest neighbours tuned, test", 12, _tuned),
    Step("neighbours", "nearest neighbours with shifted copies, test", 57, _shifted),
)
PARTS = tuple(dict.fromkeys(step.part for step in STEPS))
