"""Confidence to rely on: a temperature that calibrates it, and a threshold below which to abstain.

Both are chosen on val. The temperature divides logits before their softmax (C. Guo et al., On
calibration of modern neural networks, ICML 2017): it changes no prediction, only how sure each is.
A prediction is `sure` where its confidence reaches the threshold (selective classification, Y.
Geifman and R. El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy  # whose parts come when they are used: `special` takes a tenth of a second
from jaxtyping import Bool, Float, Int

from mnist3.evaluation.curves import calibration
from mnist3.evaluation.intervals import require_images

LEVEL = 0.95  # how often the true error is at most the bound
RISKS = (0.01, 0.001)  # errors among those read, at which coverage is measured
CONFIDENCE_METRICS = ("ece", "coverage", "aurc", "sure")  # of `confidence_metrics`
_LOG_TEMPERATURES = (-4.0, 4.0)

LogLikelihoods = Callable[[float], Float[np.ndarray, "n"]]
Confidences = Callable[[float], Float[np.ndarray, "n"]]


ROUNDING = 1e-6  # of a confidence, which another batch or a saved model may change in its last bits


class Calibrator(NamedTuple):
    """What val has taught about the confidence of a learner; without arguments, nothing.

    Attributes:
        temperature: that logits are divided by.
        threshold: confidence from which a prediction is sure; None where none is claimed.
        wanted_error: largest share of errors among the sure ones that was asked for.
        shown_error: that val shows: with the threshold, the bound of `upper_bound`.
        n: examples of val; 0 of what is not calibrated.
        ece_before: expected calibration error on val at temperature 1.
        ece: the same after, at temperatures fitted to the other half of val.
        fingerprint: of the data whose val it was.
        epoch: of the checkpoint that was calibrated; None of what has no epochs.
    """

    temperature: float = 1.0
    threshold: float | None = None
    wanted_error: float | None = None
    shown_error: float | None = None
    n: int = 0
    ece_before: float | None = None
    ece: float | None = None
    fingerprint: str = ""
    epoch: int | None = None

    def sure(self, confidences: Float[Any, "*n"] | None) -> Bool[Any, "*n"] | None:
        """Tells which predictions to rely on; None where none is claimed to be. Pure.

        Args:
            confidences: of NumPy or JAX, as is what is returned.
        """
        if self.threshold is None or confidences is None:
            return None
        return confidences >= self.threshold - ROUNDING

    @property
    def note(self) -> str:
        """What val was too small to show; nothing where it shows what was wanted."""
        if self.shown_error is None or self.shown_error <= (self.wanted_error or 0):
            return ""
        return (
            f"val, {self.n:,} examples, is too small or too hard to show at most "
            f"{100 * (self.wanted_error or 0):g} % of errors among the sure; the least that it "
            f"shows is {100 * self.shown_error:.3g} %"
        )

    def describe(self) -> dict[str, Any]:
        """Returns the entry `calibration` of metrics.json."""
        return self._asdict() | ({"note": self.note} if self.note else {})


UNCALIBRATED = Calibrator()


class RiskCoverage(NamedTuple):
    """What reading only above a threshold gives, from the highest confidence down.

    Examples of the same confidence are read together or not at all.

    Attributes:
        thresholds: the confidences that occur, falling.
        read: how many examples reach each.
        errors: how many of these are wrong.
        n: all examples.
    """

    thresholds: Float[np.ndarray, "thresholds"]
    read: Int[np.ndarray, "thresholds"]
    errors: Int[np.ndarray, "thresholds"]
    n: int

    @property
    def coverage(self) -> Float[np.ndarray, "thresholds"]:
        """Share of the examples that are read."""
        return self.read / self.n

    @property
    def risk(self) -> Float[np.ndarray, "thresholds"]:
        """Share of errors among those read."""
        return self.errors / self.read

    @property
    def area(self) -> float:
        """Mean risk over all coverages (AURC).

        Source: Y. Geifman, G. Uziel and R. El-Yaniv, Bias-reduced uncertainty estimation for deep
        neural classifiers, ICLR 2019.
        """
        return float((np.diff(self.read, prepend=0) * self.risk).sum() / self.n)

    def coverage_at(self, risk: float) -> float:
        """Returns the largest coverage with at most this risk; 0 where there is none."""
        return float(self.coverage[self.risk <= risk].max(initial=0.0))


class Threshold(NamedTuple):
    """A confidence from which predictions are sure.

    Attributes:
        value: the confidence.
        bound: that the share of errors among the sure is below, see `upper_bound`.
        coverage: share of the sure.
    """

    value: float
    bound: float
    coverage: float


def risk_coverage(
    confidences: Float[np.ndarray, "n"], right: Bool[np.ndarray, "n"]
) -> RiskCoverage:
    """Returns the risk at each coverage.

    Args:
        confidences: higher where a prediction is more probably right.
        right: whether it is.

    Raises:
        UserError: without any example.
    """
    n = require_images(len(right))
    order = np.argsort(-confidences, kind="stable")
    falling = confidences[order]
    last = np.append(np.flatnonzero(np.diff(falling)), n - 1)  # of each confidence
    return RiskCoverage(falling[last], last + 1, (~right[order]).cumsum()[last], n)


def upper_bound(
    errors: Int[np.ndarray, "*each"], n: Int[np.ndarray, "*each"]
) -> Float[np.ndarray, "*each"]:
    """Returns the one-sided 95 % bound of the share of errors, given errors among n > 0.

    Source: C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated in
    the case of the binomial, Biometrika 26, 1934.
    """
    bound = scipy.special.betaincinv(errors + 1, np.maximum(n - errors, 1), LEVEL)
    return np.where(errors < n, bound, 1.0)


def choose_threshold(
    confidences: Float[np.ndarray, "n"], right: Bool[np.ndarray, "n"], wanted_error: float
) -> Threshold:
    """Returns the threshold that reads most with at most the wanted error, as far as can be shown.

    It has the largest coverage of those whose bound is at most the wanted error; where there is
    none, the smallest bound, and of several the largest coverage. The bound is that of one
    threshold named beforehand. Since the true error falls as the threshold rises, choosing by the
    bound costs little of its level; choosing the smallest bound of all costs a few points.

    Args:
        confidences: of each prediction; n > 0.
        right: whether it is right.
        wanted_error: largest share of errors among the sure.
    """
    curve = risk_coverage(confidences, right)
    bounds = upper_bound(curve.errors, curve.read)
    shown = np.flatnonzero(bounds <= wanted_error)
    place = shown[-1] if len(shown) else np.flatnonzero(bounds == bounds.min())[-1]
    return Threshold(
        float(curve.thresholds[place]), float(bounds[place]), float(curve.coverage[place])
    )


def fit_temperature(log_likelihoods: LogLikelihoods, rows: slice | np.ndarray) -> float:
    """Returns the temperature at which the truth of some examples is most probable.

    The logarithm of the temperature has a normal prior of deviation 1, which weighs as much as one
    example: where every example is right, confidence grows with their number, not without end.

    Args:
        log_likelihoods: natural logarithm of the probability of each example's truth, by
            temperature.
        rows: the examples to fit to.
    """
    from scipy import optimize  # which takes a while to import

    def cost(logarithm: float) -> float:
        found = log_likelihoods(float(np.exp(logarithm)))[rows]
        return logarithm**2 / 2 - float(found.sum(dtype=np.float64))

    found = optimize.minimize_scalar(
        cost, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-3}
    )
    return float(np.exp(found.x))


def fit(
    log_likelihoods: LogLikelihoods,
    confidences: Confidences,
    right: Bool[np.ndarray, "n"],
    wanted_error: float,
) -> Calibrator:
    """Returns what val teaches about confidence.

    The calibration error after is measured at the temperature of the other half: every second
    example, since they may be in the order of their numbers. Where images are composed, the halves
    share digit images, of which hardly an image would be free; they differ in which numbers, and
    how many digits of an image, are hard together.

    Args:
        log_likelihoods: natural logarithm of the probability of each example's truth, by
            temperature.
        confidences: probability of each whole prediction, by temperature.
        right: whether each prediction is right.
        wanted_error: largest share of errors among the sure.
    """
    temperature = fit_temperature(log_likelihoods, slice(None))
    chosen = choose_threshold(confidences(temperature), right, wanted_error)
    crossed = np.array(confidences(temperature))
    even, odd = slice(0, None, 2), slice(1, None, 2)
    for own, other in ((even, odd), (odd, even)):
        crossed[own] = confidences(fit_temperature(log_likelihoods, other))[own]
    return Calibrator(
        temperature=temperature,
        threshold=chosen.value,
        wanted_error=wanted_error,
        shown_error=chosen.bound,
        n=len(right),
        ece_before=calibration(confidences(1.0), right).error,
        ece=calibration(crossed, right).error,
    )


def confidence_metrics(
    confidences: Float[np.ndarray, "n"],
    right: Bool[np.ndarray, "n"],
    sure: Bool[np.ndarray, "n"] | None = None,
) -> dict[str, Any]:
    """Returns how far confidence can be relied on, under the names of metrics.json.

    Args:
        confidences: probability of each whole prediction, from 0 to 1.
        right: whether it is right.
        sure: whether it is to be relied on; None where none is claimed to be.

    Returns:
        ece: expected calibration error of the confidence, 15 bins.
        coverage: by risk, the largest share of the examples that can be read with at most this
            share of errors, as measured on them.
        aurc: area under the risk-coverage curve.
        sure: share of the sure ones, and share of errors among them, None of none; with `sure`
            alone.

    Raises:
        UserError: without any example.
    """
    curve = risk_coverage(confidences, right)
    found: dict[str, Any] = {
        "ece": calibration(confidences, right).error,
        "coverage": {f"{risk:g}": curve.coverage_at(risk) for risk in RISKS},
        "aurc": curve.area,
    }
    if sure is not None:
        error = float(1 - right[sure].mean()) if sure.any() else None
        found["sure"] = {"share": float(sure.mean()), "error": error}
    return found
