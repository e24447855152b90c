"""What a model knows of its unit's validation normals: where its thresholds come from."""

from collections.abc import Iterable

import numpy as np

from blemish.core.params import Section
from blemish.methods.scoring import Scored
from blemish.metrics.threshold import threshold_at, thresholds_for_use


class NotFinite(ValueError):
    """A score or a map holds NaN or infinity."""


class Threshold(Section):
    """Image scores above `threshold` are alarms; the rate on new normals is expected to be
    `expected_rate`, and with 95 % confidence lies between `rate_low` and `rate_high`."""

    false_alarm_rate: float
    threshold: float
    expected_rate: float
    rate_low: float
    rate_high: float


class Validation(Section):
    """Image scores of the validation normals: the threshold of any false-alarm rate follows; those
    of the usual rates are written out.

    Scores need not be in the units of the anomaly maps, so the maps' own facts stand beside them:
    the maxima of the normals' maps, and their usual level, the median of the maps' medians.
    """

    normal_scores: list[float]
    map_maxima: list[float]
    map_level: float
    thresholds: list[Threshold]

    @classmethod
    def of(cls, normals: Iterable[Scored]) -> "Validation":
        """From the maps and scores of the validation normals. Raises NotFinite."""
        facts = []
        for anomaly_map, scores in normals:
            if not (np.isfinite(scores).all() and np.isfinite(anomaly_map).all()):
                raise NotFinite
            score, peak = float(scores[0]), float(anomaly_map.max())
            facts.append((score, peak, float(np.median(anomaly_map))))
        ordered, maxima, levels = (sorted(fact) for fact in zip(*facts, strict=True))
        return cls(
            normal_scores=ordered,
            map_maxima=maxima,
            map_level=float(np.median(levels)),
            thresholds=[Threshold(**threshold) for threshold in thresholds_for_use(ordered)],
        )

    def map_threshold(self, false_alarm_rate: float) -> float:
        """The lowest value that the maps of at most this share of normals exceed anywhere."""
        return threshold_at(self.map_maxima, false_alarm_rate)
