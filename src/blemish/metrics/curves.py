"""ROC, precision-recall and PRO curves, and the numbers read off them.

Everything starts from a `Ranking`: how much lies at or above each distinct threshold. Equal scores
are one threshold, so ties cannot favour either side. Definitions: anchors.md §6; PRO after Bergmann
et al., "The MVTec Anomaly Detection Dataset", IJCV 2021; sPRO after Bergmann et al., "Beyond Dents
and Scratches", IJCV 2022, as in their evaluation codes.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranking:
    """Cumulative counts at K distinct thresholds, from the highest down.

    Args:
        thresholds: (K,) descending; what counts is `score >= threshold`.
        false_positives, true_positives: (K,) int64 normal and anomalous pixels (or images).
        regions: (K,) sum over the ground-truth regions of the covered fraction; None without.
        channels: the same over defect channels, of the saturated fraction; None without.
    """

    thresholds: NDArray[np.float64]
    false_positives: NDArray[np.int64]
    true_positives: NDArray[np.int64]
    regions: NDArray[np.float64] | None = None
    channels: NDArray[np.float64] | None = None

    @property
    def normal(self) -> int:
        """The number of all normal pixels (or images)."""
        return int(self.false_positives[-1]) if len(self.false_positives) else 0

    @property
    def anomalous(self) -> int:
        """The number of all anomalous pixels (or images)."""
        return int(self.true_positives[-1]) if len(self.true_positives) else 0

    @property
    def defined(self) -> bool:
        """Whether both kinds are present; without, no metric means anything."""
        return self.normal > 0 and self.anomalous > 0


def rank(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> Ranking:
    """Rank images: labels (N,) of 0 and 1, scores (N,)."""
    thresholds, place = np.unique(-np.asarray(scores, np.float64), return_inverse=True)
    anomalous = np.asarray(labels) == 1
    size = len(thresholds)
    return Ranking(
        thresholds=-thresholds,
        false_positives=np.cumsum(np.bincount(place[~anomalous], minlength=size)),
        true_positives=np.cumsum(np.bincount(place[anomalous], minlength=size)),
    )


def auroc(ranking: Ranking) -> float | None:
    """Area under the ROC curve; None unless both kinds are present."""
    if not ranking.defined:
        return None
    return _area(ranking.false_positives / ranking.normal, _tpr(ranking), limit=1.0)


def average_precision(ranking: Ranking) -> float | None:
    """Σ (recallₖ − recallₖ₋₁) · precisionₖ, without interpolation; None unless both are present."""
    if not ranking.defined:
        return None
    return float(np.sum(np.diff(_tpr(ranking), prepend=0.0) * _precision(ranking)))


def f1max(ranking: Ranking) -> float | None:
    """The highest F1 over all thresholds; None unless both kinds are present."""
    if not ranking.defined:
        return None
    positives = ranking.true_positives + ranking.false_positives
    return float(np.max(2 * ranking.true_positives / (ranking.anomalous + positives)))


def fpr_at_tpr(ranking: Ranking, tpr: float = 0.95) -> float | None:
    """The smallest false-positive rate at which the true-positive rate is at least `tpr`."""
    if not ranking.defined:
        return None
    first = int(np.argmax(_tpr(ranking) >= tpr))
    return float(ranking.false_positives[first] / ranking.normal)


def aupro(ranking: Ranking, limit: float = 0.3) -> float | None:
    """Area under the PRO curve up to a false-positive rate of `limit`, divided by `limit`.

    The curve is interpolated at the limit. None without defect-free pixels or regions.
    """
    return _area_below(ranking, ranking.regions, limit)


def auspro(ranking: Ranking, limit: float = 0.05) -> float | None:
    """Area under the sPRO curve of MVTec LOCO up to a false-positive rate of `limit`, / `limit`.

    As `aupro`, with the mean of min(found pixels / saturation area, 1) over the defect channels.
    None without defect-free pixels or channels.
    """
    return _area_below(ranking, ranking.channels, limit)


def roc_curve(ranking: Ranking) -> pd.DataFrame:
    """Columns fpr, tpr, threshold from (0, 0) to (1, 1); the threshold of (0, 0) is empty."""
    fpr = ranking.false_positives / max(ranking.normal, 1)
    threshold = _from(np.nan, ranking.thresholds)
    return pd.DataFrame(
        {"fpr": _from(0.0, fpr), "tpr": _from(0.0, _tpr(ranking)), "threshold": threshold}
    )


def pr_curve(ranking: Ranking) -> pd.DataFrame:
    """Columns recall, precision, threshold, from the highest threshold down."""
    return pd.DataFrame(
        {
            "recall": _tpr(ranking),
            "precision": _precision(ranking),
            "threshold": ranking.thresholds,
        }
    )


def pro_curve(ranking: Ranking) -> pd.DataFrame:
    """Columns fpr, pro from (0, 0) to (1, 1)."""
    if ranking.regions is None:
        raise ValueError("this ranking carries no regions")
    fpr = ranking.false_positives / max(ranking.normal, 1)
    return pd.DataFrame({"fpr": _from(0.0, fpr), "pro": _from(0.0, _mean(ranking.regions))})


def thin(curve: pd.DataFrame, points: int = 1000) -> pd.DataFrame:
    """At most `points` rows of a curve, evenly spaced along its path, both ends kept.

    The path is measured in the first two columns, |Δx| + |Δy|; a monotone curve in the unit square
    therefore moves by no more than about 2 / `points` between the rows that stay.
    """
    if len(curve) <= points:
        return curve
    steps = curve.iloc[:, :2].diff().abs().sum(axis=1).to_numpy()
    path = np.cumsum(steps)
    wanted = np.searchsorted(path, np.linspace(0.0, path[-1], points - 1))
    keep = np.unique(np.append(wanted, len(curve) - 1))
    return curve.iloc[keep].reset_index(drop=True)


def _tpr(ranking: Ranking) -> NDArray[np.float64]:
    return ranking.true_positives / max(ranking.anomalous, 1)


def _precision(ranking: Ranking) -> NDArray[np.float64]:
    return ranking.true_positives / (ranking.true_positives + ranking.false_positives)


def _mean(covered: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) mean covered fraction; ends at 1 although the pixels' weights were rounded down."""
    return covered / covered[-1]


def _area_below(
    ranking: Ranking, covered: NDArray[np.float64] | None, limit: float
) -> float | None:
    if not ranking.defined or covered is None:
        return None
    return _area(ranking.false_positives / ranking.normal, _mean(covered), limit) / limit


def _from(start: float, values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.concatenate([[start], values])


def _area(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Trapezoid area under (0, 0), (x, y) … from x = 0 to `limit`, interpolated at `limit`."""
    x, y = _from(0.0, x), _from(0.0, y)
    inside = x <= limit
    end = np.interp(limit, x, y)
    return float(np.trapezoid(np.append(y[inside], end), np.append(x[inside], limit)))
