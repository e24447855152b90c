"""Rendered displays: layout, determinism, visible and true defects, plausible normal variation."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from blemish.core.errors import UserError
from blemish.datasets.displays import camera
from blemish.datasets.displays.options import CATEGORIES, DEFECTS, LcdsimOptions, defect_counts
from blemish.datasets.displays.render import plan, render_set

TINY = LcdsimOptions(train=2, test_good=1, test_defective=6, size=128)


def rendered(folder: Path, category: str, options: LcdsimOptions) -> Path:
    folder.mkdir(parents=True)
    render_set(folder, category, options)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "defects.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def mask_of(folder: Path, image: str) -> np.ndarray:
    _, kind, name = image.split("/")
    path = folder / "ground_truth" / kind / name.replace(".png", "_mask.png")
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def linear(folder: Path, image: str) -> np.ndarray:
    """Light at each pixel, all channels together."""
    return ((cv2.imread(str(folder / image)) / 255.0) ** 2.2).sum(axis=2)


def test_layout_counts_and_table(tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    folder = tmp_path / "grey"
    folder.mkdir()
    render_set(folder, "grey", TINY, lambda done, total: reports.append((done, total)))
    found = files(folder)
    pictures = [name for name in found if name.startswith(("train/", "test/"))]
    counts = {kind: sum(f"test/{kind}/" in name for name in pictures) for kind in DEFECTS}
    assert counts == defect_counts(6) == {"spot": 2, "line": 1, "mura": 1, "scratch": 1,
                                          "cylinder": 1}  # fmt: skip
    assert {"train/good/001.png", "test/good/000.png", "test/spot/001.png"} <= set(pictures)
    assert len(pictures) == 9
    assert len(found) == 9 + 6 + 1
    assert reports == [(done, 9) for done in range(1, 10)]
    assert [row["image"] for row in rows(folder)] == [
        f"test/{kind}/{index:03d}.png" for kind in DEFECTS for index in range(counts[kind])
    ]
    for row in rows(folder):
        assert row["unit"] == ("jnd" if row["defect"] == "mura" else "weber")
        assert row["polarity"] in {"bright", "dark", "mixed"}
        assert float(row["contrast"]) > 0
        assert float(row["size_px"]) > 0


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_renders_small(tmp_path: Path, category: str) -> None:
    options = LcdsimOptions(train=1, test_good=0, test_defective=10, size=96)
    folder = rendered(tmp_path / category, category, options)
    table = rows(folder)
    assert {row["defect"] for row in table} == set(DEFECTS)
    for row in table:
        picture, mask = cv2.imread(str(folder / row["image"])), mask_of(folder, row["image"])
        assert picture.shape == (96, 96, 3)
        assert mask.shape == (96, 96)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 255}
        assert np.count_nonzero(mask) == int(row["area_px"]) >= 4
        assert np.ptp(picture) > 5
        if category == "black":
            assert row["polarity"] == "bright"


def test_same_seed_same_bytes_whatever_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = files(rendered(tmp_path / "a", "checker", TINY))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert files(rendered(tmp_path / "b", "checker", TINY)) == first
    other = files(rendered(tmp_path / "c", "checker", LcdsimOptions(2, 1, 6, 128, seed=1)))
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)


def test_other_counts_leave_the_other_images_alone(tmp_path: Path) -> None:
    few = files(rendered(tmp_path / "few", "text", TINY))
    many = files(rendered(tmp_path / "many", "text", LcdsimOptions(3, 3, 14, 128)))
    assert len(many) > len(few)
    assert all(many[name] == few[name] for name in few if name != "defects.csv")


def test_no_two_images_share_their_randomness() -> None:
    jobs = plan(LcdsimOptions(train=5, test_good=5, test_defective=15))
    draws = [
        generator.random()
        for category in CATEGORIES
        for seed in (0, 1)
        for job in jobs
        for generator in job.generators(seed, category)
    ]
    assert len(set(draws)) == len(draws) == len(CATEGORIES) * 2 * 25 * 4


@pytest.mark.parametrize("kind", ["spot", "line"])
def test_measured_contrast_agrees_with_the_table(tmp_path: Path, kind: str) -> None:
    """Inside the mask against the ring around it, relative to the same panel with no defect."""
    options = LcdsimOptions(train=0, test_good=0, test_defective=45, size=300)
    folder = rendered(tmp_path / "seen", "grey", options)
    faint = LcdsimOptions(train=0, test_good=0, test_defective=45, size=300, contrast=1e-9)
    without = rendered(tmp_path / "unseen", "grey", faint)
    stated, measured = [], []
    for row in (row for row in rows(folder) if row["defect"] == kind):
        mask = mask_of(folder, row["image"])
        inside = mask > 0
        near = cv2.dilate(mask, np.ones((5, 5))) > 0
        ring = (cv2.dilate(mask, np.ones((21, 21))) > 0) & ~near
        ratios = [
            light[inside].mean() / light[ring].mean()
            for light in (linear(folder, row["image"]), linear(without, row["image"]))
        ]
        sign = 1 if row["polarity"] == "bright" else -1
        stated.append(sign * float(row["contrast"]))
        measured.append(ratios[0] / ratios[1] - 1)
    assert len(stated) == defect_counts(45)[kind]
    assert np.all(np.sign(stated) == np.sign(measured))
    assert spearmanr(stated, measured).statistic > 0.85
    # Optics and stripes of one colour only weaken a contrast: the peak is never exceeded.
    assert np.all(np.abs(measured) < np.abs(stated) * 1.1 + 0.01)


def test_contrast_scales_visibility_and_nothing_else(tmp_path: Path) -> None:
    options = LcdsimOptions(0, 0, 6, 128)
    plain = rendered(tmp_path / "plain", "grey", options)
    half = rendered(tmp_path / "half", "grey", LcdsimOptions(0, 0, 6, 128, contrast=0.5))
    for one, other in zip(rows(plain), rows(half), strict=True):
        assert np.array_equal(mask_of(plain, one["image"]), mask_of(half, one["image"]))
        assert float(other["contrast"]) == pytest.approx(float(one["contrast"]) / 2, rel=0.01)
        assert other["polarity"] == one["polarity"]


def test_normals_vary_in_pose_and_exposure_within_the_stated_bounds(tmp_path: Path) -> None:
    shots = [camera.draw_shot(np.random.default_rng(seed)) for seed in range(200)]
    for name, limit in (("rotation", camera.MAX_ROTATION), ("shift", camera.MAX_SHIFT)):
        values = np.abs([getattr(shot, name) for shot in shots])
        assert 0.9 * limit < values.max() <= limit
    assert all(abs(shot.exposure - 1) <= camera.MAX_EXPOSURE for shot in shots)

    options = LcdsimOptions(train=8, test_good=0, test_defective=0, size=300)
    folder = rendered(tmp_path / "text", "text", options)
    lights = [
        cv2.GaussianBlur(linear(folder, f"train/good/{index:03d}.png"), (0, 0), 3)
        for index in range(8)
    ]
    means = np.array([light.mean() for light in lights])
    window = cv2.createHanningWindow((300, 300), cv2.CV_64F)
    moves = np.array([cv2.phaseCorrelate(lights[0], other, window)[0] for other in lights[1:]])
    assert 0.01 < np.ptp(means) / means.mean() < 0.2
    assert np.abs(moves).max() > 1
    assert np.abs(moves).max() < 2 * (camera.MAX_SHIFT + 150 * camera.MAX_ROTATION) + 3


def test_stripes_are_there_at_the_pitch_of_the_display(tmp_path: Path) -> None:
    folder = rendered(tmp_path / "red", "red", LcdsimOptions(1, 0, 0, 400))
    rows_of_red = cv2.imread(str(folder / "train/good/000.png"))[150:250, :, 2].astype(float)
    spectrum = np.abs(np.fft.rfft((rows_of_red - rows_of_red.mean()) * np.hanning(400), axis=1))
    peak = spectrum.mean(axis=0)[20:].argmax() + 20
    assert 400 / peak == pytest.approx(4.14, abs=0.06)


@given(st.integers(min_value=0, max_value=500))
def test_defects_keep_anolcd_proportions(total: int) -> None:
    counts = defect_counts(total)
    assert sum(counts.values()) == total
    assert total < len(DEFECTS) or min(counts.values()) >= 1
    assert counts["spot"] >= counts["cylinder"] >= counts["line"] >= counts["scratch"]


def test_the_default_set_has_anolcd_counts_divided_by_25() -> None:
    assert defect_counts(30) == {"spot": 10, "line": 6, "mura": 2, "scratch": 4, "cylinder": 8}


def test_an_unknown_category_is_named_with_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'gray'.*grey, white, black.*text") as error:
        render_set(tmp_path, "gray", TINY)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_options_load_no_image_library() -> None:
    code = (
        "import blemish.datasets.displays.options, sys;"
        "print({'cv2','torch','numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
