"""The GIF of a test set: what each frame shows, its bounds, equal bytes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from blemish.evaluation import animation
from blemish.evaluation.animation import CAPTION, GAP, SIDE, SIZE, write_animation
from blemish.evaluation.heatmaps import scale_of, scored_rows
from tests.evaluation.test_heatmaps import everything, predictions

THRESHOLDS = (0.35, 0.35)


def written(root: Path, frames: int, **options: object) -> list[np.ndarray]:
    """The frames (H, W, 3) of the test set with peaks 0.1 … 0.3 (good) and 0.3 … 0.8."""
    test = predictions(root / "unit", **options)
    rows = scored_rows(test, everything, THRESHOLDS[0])
    write_animation(test, rows, scale_of(test, rows, THRESHOLDS), root / "a.gif", frames)
    with Image.open(root / "a.gif") as shown:
        assert shown.info["loop"] == 0
        return [np.asarray(one.convert("RGB")).astype(int) for one in ImageSequence.Iterator(shown)]


def panel(frame: np.ndarray, column: int) -> np.ndarray:
    left = GAP + column * (SIDE + GAP)
    return frame[CAPTION : CAPTION + SIDE, left : left + SIDE]


def test_each_frame_shows_image_map_and_mask(tmp_path: Path) -> None:
    frames = written(tmp_path, 99, size=(80, 80))
    assert len(frames) == 11
    assert all(frame.shape == (SIZE[1], SIZE[0], 3) for frame in frames)
    for number, frame in enumerate(frames):
        assert np.abs(panel(frame, 0) - 120).max() <= 8
        spot = panel(frame, 2)[SIDE * 5 // 16 : SIDE * 7 // 16, SIDE * 5 // 16 : SIDE * 7 // 16]
        assert (spot.mean() > 128) == (number >= 6)  # peaks above 0.35
        outline = np.abs(panel(frame, 2) - (0, 165, 255)).sum(axis=2) < 60
        assert outline.any() == (number >= 5)  # the defective ones
    peaks = [panel(frame, 1)[SIDE * 3 // 8, SIDE * 3 // 8].sum() for frame in frames]
    assert peaks[5] < peaks[8] < peaks[10]


def test_a_few_are_spread_evenly(tmp_path: Path) -> None:
    assert len(written(tmp_path, 3)) == 3
    assert len(written(tmp_path / "tall", 1, size=(600, 80))) == 1


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(written(tmp_path / "whole", 8))
    size = (tmp_path / "whole" / "a.gif").stat().st_size
    monkeypatch.setattr(animation, "LARGEST", size - 1)
    assert (whole, len(written(tmp_path / "bounded", 8))) == (8, 4)
    monkeypatch.setattr(animation, "LARGEST", 10)
    assert len(written(tmp_path / "least", 8)) == 1


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, 5)
    assert (tmp_path / "a" / "a.gif").read_bytes() == (tmp_path / "b" / "a.gif").read_bytes()
