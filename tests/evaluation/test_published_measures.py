"""MVTec AD 2's own measures: AU-PRO 0.05, and SegF1 at a threshold from validation normals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.evaluation.predictions import Predictions
from blemish.evaluation.published_measures import (
    aupro_limit,
    own_metrics,
    pixel_threshold,
    seg_f1,
)


def predictions(root: Path, maps: list[np.ndarray], masks: list[np.ndarray | None]) -> Predictions:
    rows = []
    for number, (anomaly_map, mask) in enumerate(zip(maps, masks, strict=True)):
        if mask is not None:
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / f"{number}.png")
        height, width = anomaly_map.shape
        name = None if mask is None else f"{number}.png"
        rows.append(
            {"image": f"{number}", "mask": name, "label": int(mask is not None)}
            | {"height": height, "width": width, "defect": "bad", "slice": ""}
        )
    scores = np.array([anomaly_map.max() for anomaly_map in maps], np.float64)
    return Predictions(pd.DataFrame(rows), scores, maps, lambda found, _: found, root)


def test_the_threshold_is_three_deviations_above_the_mean_of_all_pixels() -> None:
    random = np.random.default_rng(0)
    maps = [random.normal(1000, 0.5, (9, n)).astype(np.float32) for n in (7, 30, 4)]
    every = np.concatenate([anomaly_map.ravel() for anomaly_map in maps]).astype(np.float64)
    assert pixel_threshold(maps) == pytest.approx(every.mean() + 3 * every.std(), rel=1e-12)
    assert pixel_threshold([np.full((3, 3), 2.0)]) == 2.0


def test_segf1_is_of_the_pixels_of_all_images(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), bool)
    mask[:2] = True  # ten pixels
    found = np.zeros((4, 5), np.float32)
    found[1:3] = 1.0  # five of them, and five others
    good = np.zeros((4, 5), np.float32)
    good[0, 0] = 1.0  # one more false one
    test = predictions(tmp_path, [found, good, good + 1], [mask, None, None])
    assert seg_f1(test, [0, 1], "original", 0.5) == pytest.approx(2 * 5 / (2 * 5 + 6 + 5))
    assert seg_f1(test, [0], "original", 1.5) == 0.0
    assert seg_f1(test, [1], "original", 0.5) is None


def test_only_mvtec2_has_them(tmp_path: Path) -> None:
    mask = np.ones((4, 5), bool)
    test = predictions(tmp_path, [np.ones((4, 5), np.float32)], [mask])
    normals = predictions(tmp_path, [np.zeros((4, 5), np.float32)], [None])
    metrics, notes = own_metrics("mvtec2/can", test, [0], normals, "original")
    assert metrics == {"pixel_segf1": 1.0}
    assert "validation normals: 0." in notes[0]
    assert own_metrics("mvtec/screw", test, [0], normals, "original") == ({}, [])
    assert (aupro_limit("mvtec2/can", 0.3), aupro_limit("mvtec2/can", 0.1)) == (0.05, 0.1)
    assert aupro_limit("mvtec/screw", 0.3) == 0.3
