"""Crops of real defects: what is taken for defect, how they are pasted, and bad ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.synthesis.crops import LARGEST, WIDEST, prepare_crops, read_crop, read_extents
from blemish.synthesis.kinds.crops import paste_crop
from stages import synthesize
from tests.units import bytes_of, run_stage, tiny_unit

RED, WHITE, BLACK = (200, 30, 30), (255, 255, 255), (0, 0, 0)


def on(background: tuple[int, ...], height: int = 30, width: int = 40) -> np.ndarray:
    """A red ellipse with a hole of the background's colour in its middle."""
    pixels = np.full((height, width, 3), background, np.uint8)
    ys, xs = np.mgrid[:height, :width]
    distance = np.hypot((ys - height / 2) / (0.35 * height), (xs - width / 2) / (0.35 * width))
    pixels[(distance < 1) & (distance > 0.2)] = RED
    return pixels


def prepared(folder: Path, pixels: np.ndarray, shorter: float = 100) -> np.ndarray:
    file = folder / "defect.png"
    Image.fromarray(pixels).save(file)
    prepare_crops([file], shorter, folder / "out")
    return read_crop(folder / "out" / "0000.png")


@pytest.mark.parametrize("background", [WHITE, BLACK, (90, 120, 60)])
def test_an_even_background_is_cut_off_and_a_hole_of_its_colour_kept(tmp_path, background) -> None:
    pixels = on(background)
    crop = prepared(tmp_path, pixels)
    red = (pixels == RED).all(axis=2)
    ys, xs = np.nonzero(red)
    assert crop.shape[:2] == (np.ptp(ys) + 3, np.ptp(xs) + 3)  # with a transparent edge
    assert (crop[[0, -1], :, 3] == 0).all()
    assert (crop[:, [0, -1], 3] == 0).all()
    middle = crop[crop.shape[0] // 2, crop.shape[1] // 2]
    assert tuple(middle[:3]) == background
    assert middle[3] == 255
    # No background bleeds in: outside the defect are the defect's colours.
    assert (crop[crop[:, :, 3] == 0][:, :3] == RED).all()


def test_transparency_says_what_is_defect(tmp_path) -> None:
    pixels = np.dstack((on(WHITE), np.zeros((30, 40), np.uint8)))
    pixels[10:20, 5:35, 3] = 255
    crop = prepared(tmp_path, pixels)
    assert crop.shape[:2] == (12, 32)
    assert (crop[3:-3, 3:-3, 3] == 255).all()


def test_without_an_even_background_all_of_a_crop_is_defect(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (36, 24, 3), dtype=np.uint8)
    crop = prepared(tmp_path, noise)
    assert crop.shape[:2] == (38, 26)
    inner = crop[1:-1, 1:-1]
    assert np.array_equal(inner[:, :, :3], noise)
    alpha = inner[18, :, 3].astype(int)
    assert (np.diff(alpha[:12]) >= 0).all()  # feathered: rises from the edge
    assert alpha[0] < 255 == alpha[12]


def test_the_extent_is_relative_to_the_images_and_bounded(tmp_path) -> None:
    prepared(tmp_path, on(WHITE, 60, 90), shorter=200)
    extent = read_extents(tmp_path / "out")["0000.png"]
    assert extent == pytest.approx(0.7 * 90 / 200, abs=0.02)
    (tmp_path / "large").mkdir()
    large = np.random.default_rng(0).integers(0, 256, (40, 3 * LARGEST, 3), dtype=np.uint8)
    crop = prepared(tmp_path / "large", large, shorter=50)
    assert crop.shape[1] == LARGEST
    assert read_extents(tmp_path / "large" / "out")["0000.png"] == WIDEST


def test_a_crop_is_pasted_at_its_size_and_never_with_its_background(tmp_path) -> None:
    crop = prepared(tmp_path, np.where(on(WHITE) == 255, 255, on(WHITE)).astype(np.uint8))
    areas, centres = [], []
    for seed in range(60):
        pasted = paste_crop(crop, 40, seed, 100, 140)
        assert pasted.shape == (100, 140, 4)
        inside = pasted[:, :, 3] > 127
        if inside.any():
            ys, xs = np.nonzero(inside)
            areas.append(inside.sum())
            centres.append((ys.mean(), xs.mean()))
    # An ellipse with axes 40 and 30, by up to 20 % larger or smaller, unless cut by the border.
    assert np.max(areas) < 1.2**2 * np.pi / 4 * 40 * 32
    assert np.median(areas) > 0.8**2 * np.pi / 4 * 40 * 26
    assert np.std(centres, axis=0).min() > 15


def test_a_crop_without_defect_or_a_damaged_one_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"defect\.png: the whole crop is background"):
        prepared(tmp_path, np.full((20, 20, 3), 255, np.uint8))
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "defect.png").read_bytes()[:50])
    with pytest.raises(UserError, match=r"broken\.png: not a whole image"):
        prepare_crops([broken], 100, tmp_path / "elsewhere")


SYNTHESIS = {"draws": 2, "size": 64, "validation_images": 2, "weak": [], "weak_visibility": []}


def test_the_stage_takes_the_units_own_crops_before_common_ones(tmp_path) -> None:
    unit, crops = tiny_unit(), tmp_path / "crops"
    changes = {"synthesis": SYNTHESIS | {"kinds": {"perlin": 0.0, "crops": 1.0}}}
    folders = (unit.prepared, unit.textures, crops)
    with pytest.raises(UserError, match=r"`synthesis\.kinds\.crops` is above 0, but .*no image"):
        run_stage(synthesize.main, changes, *folders, tmp_path / "none")
    crops.mkdir()
    Image.fromarray(on(WHITE)).save(crops / "common.png")
    run_stage(synthesize.main, changes, *folders, tmp_path / "common")
    (crops / "tiny" / "bolts").mkdir(parents=True)
    for number, background in enumerate((WHITE, BLACK)):
        Image.fromarray(on(background)).save(crops / "tiny" / "bolts" / f"{number}.png")
    run_stage(synthesize.main, changes, *folders, tmp_path / "own")
    for name, count in (("common", 1), ("own", 2)):
        recipes = pd.read_parquet(tmp_path / name / "recipes.parquet")
        assert set(recipes["kind"]) == {"crops"}
        expected = {f"{number:04d}.png" for number in range(count)}
        assert set(recipes["texture"]) == expected == set(read_extents(tmp_path / name / "crops"))
    # Unused crops leave everything as it is.
    unused = {"synthesis": SYNTHESIS}
    for name, folder in (("with", crops), ("without", tmp_path / "nowhere")):
        run_stage(synthesize.main, unused, *folders[:2], folder, tmp_path / name)
    assert bytes_of(tmp_path / "with") == bytes_of(tmp_path / "without")
