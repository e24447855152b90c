"""What a model knows of its unit's validation normals: where its thresholds come from."""

import numpy as np
from numpy.typing import NDArray

from blemish.core.params import Section
from blemish.metrics.threshold import threshold_at, thresholds_for_use


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
    def of(cls, maps: NDArray[np.float32], scores: NDArray[np.float64]) -> "Validation":
        """From the maps (N, h, w) and scores (N,) of the validation normals."""
        ordered = sorted(float(score) for score in scores)
        return cls(
            normal_scores=ordered,
            map_maxima=sorted(float(peak) for peak in maps.max(axis=(1, 2))),
            map_level=float(np.median(np.median(maps, axis=(1, 2)))),
            thresholds=[Threshold(**threshold) for threshold in thresholds_for_use(ordered)],
        )

    def map_threshold(self, false_alarm_rate: float) -> float:
        """The lowest value that the maps of at most this share of normals exceed anywhere."""
        return threshold_at(self.map_maxima, false_alarm_rate)
