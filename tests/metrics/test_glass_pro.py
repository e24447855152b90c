"""PRO of GLASS's code against loops over pixels."""

import cv2
import numpy as np
import pytest

from blemish.metrics.glass_pro import pro_of_glass


def plain_pro(maps: list[np.ndarray], masks: list[np.ndarray]) -> float:
    """One region a mask, loops instead of arrays."""
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    points = []
    for threshold in np.arange(low, high, (high - low) / 200):
        false = normal = 0
        shares = []
        for anomaly_map, mask in zip(maps, masks, strict=True):
            above = anomaly_map > threshold
            false += (above & ~mask).sum()
            normal += (~mask).sum()
            if mask.any():
                rows, columns = np.nonzero(mask)
                near = [
                    above[max(0, r - 2) : r + 3, max(0, c - 2) : c + 3].any()
                    for r, c in zip(rows, columns, strict=True)
                ]
                shares.append(np.mean(near))
        points.append((false / normal, np.mean(shares)))
    kept = sorted(point for point in points if point[0] < 0.3)
    x, y = np.array(kept).T
    x = (x - x.min()) / (x.max() - x.min())
    return float(sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1)))


def test_pro_of_glass_is_that_of_its_description() -> None:
    random = np.random.default_rng(0)
    masks = [np.zeros((32, 32), bool) for _ in range(3)]
    masks[1][5:9, 5:9] = True
    masks[2][10:18, 12:20] = True
    # Smooth, so that a dilated prediction does not cover everything at once.
    fields = [cv2.GaussianBlur(random.random((32, 32)), (0, 0), 6) for _ in masks]
    maps = [
        ((field - field.min()) / np.ptp(field) + 0.15 * mask).astype(np.float32)
        for field, mask in zip(fields, masks, strict=True)
    ]
    found = pro_of_glass(maps, masks)
    expected = plain_pro(maps, masks)
    assert 0.2 < expected < 0.98
    assert found == pytest.approx(expected, abs=1e-9)


def test_pro_of_glass_is_undefined_without_regions_or_spread() -> None:
    flat = [np.zeros((8, 8), np.float32)] * 2
    nothing = [np.zeros((8, 8), bool)] * 2
    assert pro_of_glass(flat, nothing) is None
    noise = [np.random.default_rng(1).random((8, 8)).astype(np.float32)] * 2
    assert pro_of_glass(noise, nothing) is None
