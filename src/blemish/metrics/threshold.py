"""The threshold for use: from validation normals alone, then judged on the test set."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from blemish.core.errors import UserError

USUAL_RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def threshold_at(normal_scores: ArrayLike, false_alarm_rate: float) -> float:
    """The lowest score such that at most this share of the normal scores lies above it.

    The decision it serves is `score > threshold`. With n normals the share moves in steps of 1/n:
    below 1/n the threshold is the highest normal score; `threshold_note` says so to the reader.

    Raises:
        UserError: no normal scores, one that is not finite, or a rate outside [0, 1).
    """
    scores = np.sort(np.asarray(normal_scores, np.float64).ravel())
    if not 0.0 <= false_alarm_rate < 1.0:
        raise UserError(
            f"params.yaml: evaluation.false_alarm_rate is {false_alarm_rate}: use a share from 0 "
            "up to below 1"
        )
    if scores.size == 0:
        raise UserError("no validation normals to set a threshold from: give the unit more images")
    if not np.isfinite(scores).all():
        raise UserError(
            "a validation normal scored NaN or infinity: train again, with a lower learning rate"
        )
    return float(scores[-1 - _allowed(scores.size, false_alarm_rate)])


def expected_rate(normals: int, false_alarm_rate: float) -> dict[str, float]:
    """What `threshold_at` will do on new normals like those of validation.

    With n exchangeable normals of which k lie above the threshold, the rate on new normals is
    distributed as Beta(k + 1, n − k) whatever the scores' distribution: its mean and its central
    95 % interval as expected_rate, rate_low, rate_high.
    """
    allowed = _allowed(normals, false_alarm_rate)
    rate = beta(allowed + 1, normals - allowed)
    low, high = rate.interval(0.95)
    return {
        "expected_rate": float(rate.mean()), "rate_low": float(low), "rate_high": float(high),
    }  # fmt: skip


def thresholds_for_use(normal_scores: Sequence[float]) -> list[dict[str, float]]:
    """A threshold for each usual false-alarm rate that the number of normals can tell."""
    count = len(normal_scores)
    return [
        {"false_alarm_rate": rate, "threshold": threshold_at(normal_scores, rate)}
        | expected_rate(count, rate)
        for rate in USUAL_RATES
        if rate * count >= 1
    ]


def threshold_note(normals: int, false_alarm_rate: float) -> str | None:
    """A sentence for the reader when `normals` images are too few for this rate, else None.

    With n exchangeable normals, of which k lie above the threshold, the expected rate on new
    normals is (k + 1) / (n + 1).
    """
    if _allowed(normals, false_alarm_rate) > 0:
        return None
    enough = f"; {math.ceil(1 / false_alarm_rate)} would" if false_alarm_rate > 0 else ""
    return (
        f"{normals} validation normals are too few to set a false-alarm rate of "
        f"{false_alarm_rate:g}{enough}: the threshold is their highest score, and on new normals "
        f"a rate of {1 / (normals + 1):.2g} is to be expected."
    )


def operating_point(
    labels: ArrayLike, scores: ArrayLike, threshold: float
) -> dict[str, float | None]:
    """`decision_rates` of the decision score > threshold."""
    return decision_rates(labels, np.asarray(scores, np.float64) > threshold)


def decision_rates(labels: ArrayLike, alarm: NDArray[np.bool_]) -> dict[str, float | None]:
    """precision, recall, accuracy and test_false_alarm_rate of decisions (N,).

    None where nothing is divided by: precision without alarms, recall without defects, and so on.
    """
    defective = np.asarray(labels) == 1
    return {
        "precision": share(defective[alarm]),
        "recall": share(alarm[defective]),
        "accuracy": share(alarm == defective),
        "test_false_alarm_rate": share(alarm[~defective]),
    }


def share(flags: NDArray[np.bool_]) -> float | None:
    """The share of true flags, None for no flags."""
    return float(flags.mean()) if flags.size else None


def _allowed(normals: int, rate: float) -> int:
    """How many of the normals may score above, never all; 10⁻⁹ forgives 0.29 · 100 = 28.999…"""
    return min(math.floor(normals * rate + 1e-9), normals - 1)
