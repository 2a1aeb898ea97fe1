"""The last step of every training: val calibrates the confidence of what was learned."""

import os
from typing import Any

from absl import logging

from mnist3.errors import UserError
from mnist3.evaluation import calibration
from mnist3.evaluation.calibration import UNCALIBRATED, Calibrator
from mnist3.files import CALIBRATION_FILE, read_json, write_json
from mnist3.learners.learned import Learned
from mnist3.tasks import Examples, Predictions, Task


def predict(learned: Learned, inputs: Any, targets: Any = None) -> Predictions:
    """Returns predictions at the temperature of the calibrator, and which are sure."""
    calibrator = learned.calibrator
    found = learned.decode(learned.raw(inputs), targets, calibrator.temperature)
    return with_sure(found, calibrator, learned.task)


def with_sure(predictions: Predictions, calibrator: Calibrator, task: Task) -> Predictions:
    """Returns predictions that tell which of them are sure, where that is known; pure."""
    sure = calibrator.sure(predictions.confidence)
    return predictions.replaced(sure=None if sure is None else sure & task.claims(predictions))


def calibrate(learned: Learned, val: Examples, wanted_error: float, fingerprint: str) -> None:
    """Lets val calibrate what was learned; where there is no confidence nothing changes.

    Args:
        learned: gets the calibrator.
        val: the examples.
        wanted_error: largest share of errors among the sure predictions.
        fingerprint: of the data.
    """
    raw = learned.raw(val.inputs)
    uncalibrated = learned.decode(raw, val.targets)
    if uncalibrated.confidence is None:
        return
    found = calibration.fit(
        lambda temperature: learned.log_likelihoods(raw, val.targets, temperature),
        lambda temperature: learned.decode(raw, val.targets, temperature).confidence,
        learned.task.outcomes(val.targets, uncalibrated),
        wanted_error,
    )
    epoch = learned.training.get("checkpoint_epoch")
    learned.calibrator = found._replace(fingerprint=fingerprint, epoch=epoch)
    logging.info(
        "calibrated on %d examples of val: temperature %.3f, expected calibration error %.4f "
        "before and %.4f after; sure from a confidence of %.4f on",
        *(found.n, found.temperature, found.ece_before, found.ece, found.threshold),
    )
    if found.note:
        logging.warning("%s", found.note)


def save(folder: str, calibrator: Calibrator) -> None:
    """Saves a calibrator in the folder of a run; one that knows nothing leaves nothing."""
    if calibrator != UNCALIBRATED:
        write_json(os.path.join(folder, CALIBRATION_FILE), calibrator._asdict())


def read(folder: str, epoch: int | None = None) -> Calibrator:
    """Returns what `save` saved of a checkpoint; of another or without it one that knows nothing.

    Raises:
        UserError: if it cannot be read.
    """
    path = os.path.join(folder, CALIBRATION_FILE)
    if not os.path.exists(path):
        return UNCALIBRATED
    try:
        found = Calibrator(**read_json(path))
        for name, value in found._asdict().items():
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            if not (isinstance(value, str) if name == "fingerprint" else numeric or value is None):
                raise ValueError(f"its {name} is {value!r}")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); delete it, and --mode=evaluate calibrates anew."
        ) from error
    return found if found.epoch == epoch else UNCALIBRATED
