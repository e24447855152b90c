"""PRO as the code of GLASS computes it, to compare with its tables (`docs/spec/glass.md` §13)."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

STEPS = 200  # thresholds
DILATION = np.ones((5, 5), np.uint8)
FPR_LIMIT = 0.3


def pro_of_glass(
    maps: Sequence[NDArray[np.floating]], masks: Sequence[NDArray[np.bool_]]
) -> float | None:
    """PRO over the false-positive rate of N anomaly maps (H, W) and masks (H, W).

    There are 200 evenly spaced thresholds; the prediction is dilated by 5×5 for the overlap but not
    for the false-positive rate; rates below 0.3 are stretched to [0, 1] by their own extremes. None
    without defect-free pixels, without regions, or where all maps are one number.
    """
    regions = [cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1] for mask in masks]
    low, high = min(map(np.min, maps)), max(map(np.max, maps))
    normal = sum(int((~mask).sum()) for mask in masks)
    if not (high > low and normal and any(labels.any() for labels in regions)):
        return None
    rates, overlaps = [], []
    for threshold in np.arange(low, high, (high - low) / STEPS):
        false, shares = 0, []
        for anomaly_map, mask, labels in zip(maps, masks, regions, strict=True):
            above = anomaly_map > threshold
            false += int((above & ~mask).sum())
            if labels.any():
                wider = cv2.dilate(above.astype(np.uint8), DILATION).ravel()
                areas = np.bincount(labels.ravel())[1:]
                covered = np.bincount(labels.ravel(), weights=wider)[1:]
                shares += (covered / areas).tolist()
        rates.append(false / normal)
        overlaps.append(float(np.mean(shares)))
    return _stretched_area(np.array(rates), np.array(overlaps))


def _stretched_area(rates: NDArray[np.float64], overlaps: NDArray[np.float64]) -> float | None:
    kept = rates < FPR_LIMIT
    rates, overlaps = rates[kept], overlaps[kept]
    if len(rates) < 2 or rates.max() == rates.min():
        return None
    order = np.argsort(rates, kind="stable")
    stretched = (rates[order] - rates.min()) / (rates.max() - rates.min())
    return float(np.trapezoid(overlaps[order], stretched))
