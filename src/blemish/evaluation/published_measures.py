"""Measures that a publisher defines for its set, beside those that every unit has.

MVTec AD 2 (`docs/spec/measures.md` §6): AU-PRO up to a false-positive rate of 0.05, and
SegF1, the F1 of all test pixels at a threshold that follows from the validation normals alone.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from blemish.core.progress import progress
from blemish.datasets.dataset import split_unit
from blemish.evaluation.evaluate import Metrics
from blemish.evaluation.predictions import Predictions

USUAL_LIMIT = 0.3
AUPRO_LIMITS = {"mvtec2": 0.05}
WITH_SEGF1 = frozenset({"mvtec2"})
DEVIATIONS = 3.0  # standard deviations above the mean of all pixels of the validation normals
NOTE = (
    "SegF1 is of all test pixels, at the mean and three standard deviations of the pixels of the "
    "validation normals: {:.4g}."
)


def aupro_limit(unit: str, given: float) -> float:
    """The limit that the unit's publisher integrates to, unless the user has set another one."""
    return AUPRO_LIMITS.get(split_unit(unit)[0], given) if given == USUAL_LIMIT else given


def own_metrics(
    unit: str,
    test: Predictions,
    main: Sequence[int],
    normals: Predictions,
    resolution: str,
) -> tuple[Metrics, list[str]]:
    """The set's further measures and what is said of them; nothing for most sets.

    main: the positions of the main test set. normals: what the method says of the validation
    normals. resolution: where maps meet masks.
    """
    if split_unit(unit)[0] not in WITH_SEGF1 or not main or not len(normals.rows):
        return {}, []
    threshold = pixel_threshold(
        normals.sample(position, resolution).values for position in range(len(normals.rows))
    )
    return {"pixel_segf1": seg_f1(test, main, resolution, threshold)}, [NOTE.format(threshold)]


def pixel_threshold(maps: Iterable[NDArray[np.floating]]) -> float:
    """Mean + 3 standard deviations of all values of some maps, of which one is in memory."""
    count, total, squares = 0, 0.0, 0.0
    shift: float | None = None  # near the mean, so that the squares lose no digits
    for anomaly_map in maps:
        values = np.asarray(anomaly_map, np.float64)
        shift = float(values.mean()) if shift is None else shift
        values = values - shift
        count += values.size
        total += float(values.sum())
        squares += float(np.square(values).sum())
    mean = total / count
    return float((shift or 0.0) + mean + DEVIATIONS * np.sqrt(max(squares / count - mean**2, 0)))


def seg_f1(
    test: Predictions, main: Sequence[int], resolution: str, threshold: float
) -> float | None:
    """2·TP / (2·TP + FP + FN) over the pixels of all images; None without defective pixels."""
    hits = wrong = defective = 0
    for position in progress(main, "SegF1", len(main), "image"):
        sample = test.sample(position, resolution)
        above = sample.anomaly_map > threshold
        above = above if sample.judged is None else above & sample.judged
        hits += int(np.count_nonzero(above & sample.mask))
        wrong += int(np.count_nonzero(above & ~sample.mask))
        defective += int(np.count_nonzero(sample.mask))
    return 2 * hits / (hits + wrong + defective) if defective else None
