"""ROC, precision-recall and PRO curves, and the numbers read off them.

Everything starts from a `Ranking`: how much lies at or above each distinct threshold. Equal scores
are one threshold, so ties cannot favour either side. Every function takes one ranking (K,) or many
of equal length (B, K), as a bootstrap draws them. Definitions: `docs/spec/measures.md` §1 for PRO
(Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021) and §2 for sPRO (Bergmann et
al., "Beyond Dents and Scratches", IJCV 2022), as in their evaluation codes.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]  # of one ranking a scalar, of many (B,)


@dataclass(frozen=True)
class Ranking:
    """Cumulative counts at K distinct thresholds, from the highest down; K may be 0.

    Args:
        false_positives, true_positives: (…, K) normal and anomalous pixels (or images).
        thresholds: (K,) descending; what counts is `score >= threshold`. Only curves need them.
        regions: (…, K) mean covered fraction of the ground-truth regions, 1 at the end; None
            without regions.
        channels: the same over defect channels, of the saturated fraction.
        aupimo: AUPIMO of each defective image, NaN where it is undefined; None where unknown.
        images: labels (N,) and scores (N,) where the ranking is of one set of images.
    """

    false_positives: NDArray[np.integer] | NDArray[np.floating]
    true_positives: NDArray[np.integer] | NDArray[np.floating]
    thresholds: NDArray[np.float64] | None = None
    regions: NDArray[np.float64] | None = None
    channels: NDArray[np.float64] | None = None
    aupimo: NDArray[np.float64] | None = None
    images: tuple[NDArray[np.integer], NDArray[np.floating]] | None = None

    @property
    def defined(self) -> bool:
        """Whether both kinds are present, in every ranking; without, no metric means anything."""
        ends = (self.false_positives[..., -1:], self.true_positives[..., -1:])
        return all(end.size > 0 and bool((end > 0).all()) for end in ends)

    @property
    def fpr(self) -> NDArray[np.float64]:
        """(…, K) false-positive rate; 0 without normal pixels (or images)."""
        return np.asarray(self.false_positives / np.maximum(self.false_positives[..., -1:], 1))

    @property
    def tpr(self) -> NDArray[np.float64]:
        """(…, K) true-positive rate, or recall; 0 without anomalous pixels (or images)."""
        return np.asarray(self.true_positives / np.maximum(self.true_positives[..., -1:], 1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """(…, K) share of the anomalous; 0 where nothing is counted yet."""
        counted = self.true_positives + self.false_positives
        return np.asarray(self.true_positives / np.maximum(counted, 1e-12))


def rank(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> Ranking:
    """Rank images: labels (N,) of 0 and 1, scores (N,)."""
    scores = np.asarray(scores, np.float64)
    thresholds, place = np.unique(-scores, return_inverse=True)
    anomalous = np.asarray(labels) == 1
    false, true = (
        np.cumsum(np.bincount(place[chosen], minlength=len(thresholds)))
        for chosen in (~anomalous, anomalous)
    )
    return Ranking(false, true, -thresholds, images=(anomalous.astype(np.int64), scores))


def auroc(ranking: Ranking) -> Numbers | None:
    """Area under the ROC curve; None unless both kinds are present."""
    if not ranking.defined:
        return None
    if ranking.images is not None:  # as in others' tables, to the last digit
        from sklearn.metrics import roc_auc_score

        return np.asarray(roc_auc_score(*ranking.images))
    return _area(ranking.fpr, ranking.tpr, 1.0)


def average_precision(ranking: Ranking) -> Numbers | None:
    """Σ (recallₖ − recallₖ₋₁) · precisionₖ, without interpolation; None unless both are present."""
    if not ranking.defined:
        return None
    if ranking.images is not None:
        from sklearn.metrics import average_precision_score

        return np.asarray(average_precision_score(*ranking.images))
    return np.asarray(np.sum(np.diff(ranking.tpr, prepend=0.0) * ranking.precision, axis=-1))


def f1max(ranking: Ranking) -> Numbers | None:
    """The highest F1 over all thresholds; None unless both kinds are present."""
    if not ranking.defined:
        return None
    true, false = ranking.true_positives, ranking.false_positives
    return np.asarray(np.max(2 * true / (true[..., -1:] + true + false), axis=-1))


def fpr_at_tpr(ranking: Ranking, tpr: float = 0.95) -> Numbers | None:
    """The smallest false-positive rate at which the true-positive rate is at least `tpr`."""
    if not ranking.defined:
        return None
    first = np.argmax(ranking.tpr >= tpr, axis=-1, keepdims=True)
    return np.asarray(np.take_along_axis(ranking.fpr, first, axis=-1)[..., 0])


def aupro(ranking: Ranking, limit: float = 0.3) -> Numbers | None:
    """Area under the PRO curve up to a false-positive rate of `limit`, divided by `limit`.

    The curve is interpolated at the limit. None without defect-free pixels or regions.
    """
    if not ranking.defined or ranking.regions is None:
        return None
    return _area(ranking.fpr, ranking.regions, limit) / limit


def auspro(ranking: Ranking, limit: float = 0.05) -> Numbers | None:
    """Area under the sPRO curve of MVTec LOCO up to a false-positive rate of `limit`, / `limit`.

    As `aupro`, with the mean of min(found pixels / saturation area, 1) over the defect channels.
    None without defect-free pixels or channels.
    """
    if not ranking.defined or ranking.channels is None:
        return None
    return _area(ranking.fpr, ranking.channels, limit) / limit


def mean_aupimo(ranking: Ranking) -> Numbers | None:
    """The mean of the defective images' AUPIMO; None where none has one."""
    values = ranking.aupimo
    if values is None or np.isnan(values).all():
        return None
    return np.asarray(values[~np.isnan(values)].mean())


def roc_curve(ranking: Ranking) -> pd.DataFrame:
    """Columns fpr, tpr, threshold from (0, 0) to (1, 1); the threshold of (0, 0) is empty."""
    columns = {"fpr": ranking.fpr, "tpr": ranking.tpr}
    table = {name: _from_zero(values) for name, values in columns.items()}
    return pd.DataFrame({**table, "threshold": np.append(np.nan, _thresholds(ranking))})


def pr_curve(ranking: Ranking) -> pd.DataFrame:
    """Columns recall, precision, threshold, from the highest threshold down."""
    columns = {"recall": ranking.tpr, "precision": ranking.precision}
    return pd.DataFrame({**columns, "threshold": _thresholds(ranking)})


def pro_curve(ranking: Ranking) -> pd.DataFrame:
    """Columns fpr, pro from (0, 0) to (1, 1)."""
    if ranking.regions is None:
        raise ValueError("this ranking carries no regions")
    return pd.DataFrame({"fpr": _from_zero(ranking.fpr), "pro": _from_zero(ranking.regions)})


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


def _thresholds(ranking: Ranking) -> NDArray[np.float64]:
    if ranking.thresholds is None:
        raise ValueError("this ranking carries no thresholds")
    return ranking.thresholds


def _from_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1)


def _area(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> Numbers:
    """Trapezoid area under (0, 0), (x, y) … from x = 0 to `limit`, interpolated at `limit`."""
    x, y = _from_zero(x), _from_zero(y)
    if x.ndim == 1:
        inside, end = x <= limit, np.interp(limit, x, y)
        return np.asarray(np.trapezoid(np.append(y[inside], end), np.append(x[inside], limit)))
    # Each row ends elsewhere: of the segment that crosses the limit only the share up to it counts.
    width, full = np.diff(np.minimum(x, limit), axis=-1), np.diff(x, axis=-1)
    share = np.divide(width, full, out=np.zeros_like(width), where=full > 0)
    return np.asarray((width * (y[..., :-1] + np.diff(y, axis=-1) * share / 2)).sum(axis=-1))
