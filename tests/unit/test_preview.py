"""The contact sheet: one tile for each picture, where it belongs, outlined where it is defect."""

import numpy as np
from PIL import Image

from blemish.synthesis.preview import CAPTION, OUTLINE, TILE, Sample, write_preview
from tests.units import tiny_unit


def sample(height: int, width: int, level: int) -> Sample:
    normal = np.full((height, width, 3), level, np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    synthetic = normal.copy()
    synthetic[mask] = 250
    return Sample(normal, synthetic, mask, "train: perlin, beta 0.50")


def sheet(samples: list[Sample], path, per_row: int = 2) -> np.ndarray:
    write_preview(samples, path, per_row)
    return np.asarray(Image.open(path))


def tile(pixels: np.ndarray, row: int, column: int, picture: int) -> np.ndarray:
    top = row * (TILE + CAPTION + 6) + CAPTION
    left = column * (3 * TILE + 8) + picture * (TILE + 1)
    return pixels[top : top + TILE, left : left + TILE]


def outlined(pixels: np.ndarray) -> np.ndarray:
    """Where red clearly prevails."""
    red, green, _ = np.moveaxis(pixels.astype(int), 2, 0)
    return red - green > 100


def test_normal_synthetic_and_outlined_side_by_side(tmp_path) -> None:
    samples = [sample(TILE, TILE, level) for level in (40, 80, 120)]
    pixels = sheet(samples, tmp_path / "preview.png")
    assert pixels.shape == (2 * (TILE + CAPTION + 6), 2 * (3 * TILE + 8), 3)
    for number, one in enumerate(samples):
        place = divmod(number, 2)
        assert np.array_equal(tile(pixels, *place, 0), one.normal)
        assert np.array_equal(tile(pixels, *place, 1), one.synthetic)
        marked = tile(pixels, *place, 2)
        edge = outlined(marked)
        assert set(map(tuple, marked[edge])) == {OUTLINE}
        # The outline is the mask's border; everything else is the synthetic image.
        ys, xs = np.nonzero(edge)
        assert (ys.min(), ys.max()) == (TILE // 4, TILE // 2 - 1)
        assert (xs.min(), xs.max()) == (TILE // 4, TILE // 2 - 1)
        assert np.array_equal(marked[~edge], one.synthetic[~edge])
        assert edge.sum() < one.mask.sum() / 2
    assert (tile(pixels, 1, 1, 0) == 255).all()  # a place without a sample stays empty
    captions = pixels[:CAPTION, : 3 * TILE]
    assert (captions < 100).any()


def test_tall_wide_large_and_small_pictures_keep_their_aspect(tmp_path) -> None:
    for height, width in ((400, 100), (90, 1000), (20, 30)):
        pixels = sheet([sample(height, width, 0)], tmp_path / "preview.png", per_row=1)
        picture = (tile(pixels, 0, 0, 0) < 60).all(axis=2)
        ys, xs = np.nonzero(picture)
        found = (np.ptp(ys) + 1, np.ptp(xs) + 1)
        scale = TILE / max(height, width)
        assert np.abs(np.array(found) - np.array([height, width]) * scale).max() <= 1
        assert outlined(tile(pixels, 0, 0, 2)).any()  # visible even after a strong reduction
        assert not outlined(tile(pixels, 0, 0, 1)).any()


def test_the_unit_has_a_sheet_of_every_purpose() -> None:
    pixels = np.asarray(Image.open(tiny_unit().synthetic / "preview.png"))
    rows = 5  # six training samples, two for validation, one of each of two weak sets
    assert pixels.shape == (rows * (TILE + CAPTION + 6), 2 * (3 * TILE + 8), 3)
    for number in range(10):
        place = divmod(number, 2)
        assert outlined(tile(pixels, *place, 2)).any()
        normal, synthetic = tile(pixels, *place, 0), tile(pixels, *place, 1)
        assert not outlined(normal).any()
        changed = (normal != synthetic).any(axis=2).mean()
        assert 0 < changed < 0.5
