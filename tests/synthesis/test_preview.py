"""The contact sheet: a heading a purpose, four tiles a sample, outlined where it is defect."""

import numpy as np
import pytest
from PIL import Image

from blemish.synthesis.preview import (
    CAPTION,
    GAP,
    HEADING,
    OUTLINE,
    PER_ROW,
    TILE,
    Sample,
    close_up,
    write_preview,
)
from tests.units import tiny_unit

WIDTH, HEIGHT = 4 * (TILE + 1) + GAP, TILE + CAPTION + GAP


def sample(height: int, width: int, level: int, purpose: str = "train") -> Sample:
    normal = np.full((height, width, 3), level, np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    synthetic = normal.copy()
    synthetic[mask] = level + 10
    return Sample(normal, synthetic, mask, purpose, "perlin, beta 0.50")


def sheet(samples: list[Sample], path) -> np.ndarray:
    write_preview(samples, path)
    return np.asarray(Image.open(path))


def tile(pixels: np.ndarray, number: int, picture: int, top: int = HEADING) -> np.ndarray:
    row, column = divmod(number, PER_ROW)
    top += row * HEIGHT + CAPTION
    left = GAP + column * WIDTH + picture * (TILE + 1)
    return pixels[top : top + TILE, left : left + TILE]


def test_each_purpose_has_its_heading_and_rows(tmp_path) -> None:
    samples = [sample(TILE, TILE, level) for level in (40, 80, 120)]
    samples += [sample(TILE, TILE, 160, "weak-0.1")]
    pixels = sheet(samples, tmp_path / "preview.png")
    assert pixels.shape == (2 * HEADING + 3 * HEIGHT + GAP, PER_ROW * WIDTH + GAP, 3)
    for number, one in enumerate(samples[:3]):
        assert np.array_equal(tile(pixels, number, 0), one.normal)
    below = 2 * HEIGHT + 2 * HEADING
    assert np.array_equal(tile(pixels, 0, 0, below), samples[3].normal)
    assert (tile(pixels, 3, 0) == 255).all()  # a place without a sample stays empty
    for top in (0, HEADING + 2 * HEIGHT):  # headings, and captions below them
        assert (pixels[top : top + HEADING, : WIDTH // 2] < 100).any()
        caption = pixels[top + HEADING : top + HEADING + CAPTION, : WIDTH // 2]
        assert (caption < 140).any()


def test_the_outline_runs_around_the_defect_and_not_over_it(tmp_path) -> None:
    one = sample(TILE, TILE, 80)
    marked = tile(sheet([one], tmp_path / "preview.png"), 0, 1)
    edge = (marked == OUTLINE).all(axis=2)
    assert 0 < edge.sum() < one.mask.sum() / 2
    assert not (edge & one.mask).any()
    ys, xs = np.nonzero(edge)
    assert TILE // 4 - 4 < ys.min() < TILE // 4
    assert TILE // 2 <= xs.max() < TILE // 2 + 4
    assert np.array_equal(marked[~edge], one.synthetic[~edge])


def test_a_faint_defect_shows_close_up(tmp_path) -> None:
    one = sample(400, 400, 80)  # ten levels brighter
    pixels = sheet([one], tmp_path / "preview.png")
    normal, synthetic = (tile(pixels, 0, picture).astype(int) for picture in (2, 3))
    assert np.ptp(normal) == 0
    assert np.ptp(synthetic) == 40  # stretched fourfold, at most
    assert normal.min() == synthetic.min()


@pytest.mark.parametrize(
    ("rows", "columns", "side"),
    [
        (slice(0, 2), slice(397, 400), 0.12 * 300),  # tiny, in a corner
        (slice(100, 200), slice(100, 200), 140),
        (slice(150, 152), slice(0, 400), 150),  # a line: a part of it
        (slice(0, 0), slice(0, 0), 150),  # no defect: the middle of everything
    ],
)
def test_the_close_up_is_a_square_on_the_defect(rows: slice, columns: slice, side: float) -> None:
    mask = np.zeros((300, 400), bool)
    mask[rows, columns] = True
    ys, xs = close_up(mask)
    assert ys.stop - ys.start == xs.stop - xs.start == round(side)
    assert 0 <= ys.start < ys.stop <= 300
    assert 0 <= xs.start < xs.stop <= 400
    assert mask[ys, xs].any() or not mask.any()


def test_tall_wide_large_and_small_pictures_keep_their_aspect(tmp_path) -> None:
    sizes = [(300, 100), (100, 300), (2 * TILE, 2 * TILE), (20, 40)]
    pixels = sheet([sample(*size, 90) for size in sizes], tmp_path / "preview.png")
    for number, (height, width) in enumerate(sizes):
        first = tile(pixels, number, 0)
        picture = (first == 90).all(axis=2)
        ys, xs = np.nonzero(picture)
        shown = (np.ptp(ys) + 1, np.ptp(xs) + 1)
        assert max(shown) == TILE
        assert shown[0] / shown[1] == pytest.approx(height / width, rel=0.03)
        assert (first[~picture] == 235).all()


@pytest.mark.parametrize(("height", "width"), [(16, 257), (256, 16)])
def test_elongated_pictures_are_broken_into_lines_that_fill_a_tile(
    tmp_path, height: int, width: int
) -> None:
    normal = np.zeros((height, width, 3), np.uint8)
    length = -(-max(height, width) // 4)  # of a line
    along = np.arange(max(height, width)) // length * 50
    normal += (along[None] if width > height else along[:, None]).astype(np.uint8)[..., None]
    mask = np.zeros((height, width), bool)
    mask[height // 2 : height // 2 + 4, width // 2 : width // 2 + 4] = True
    pixels = sheet([Sample(normal, normal, mask, "train", "spot")], tmp_path / "preview.png")
    first, marked = (tile(pixels, 0, picture) for picture in (0, 1))
    if height > width:
        first, marked = first.swapaxes(0, 1), marked.swapaxes(0, 1)
    found = [np.nonzero((first == level).all(axis=2).any(axis=1))[0] for level in (0, 50, 100, 150)]
    for number, rows in enumerate(found):
        # Nine of a tile's pixels each where the picture is not broken.
        assert 30 < len(rows) < 40
        assert number == 0 or rows[0] > found[number - 1][-1]
    assert (first == 235).all(axis=2).mean() < 0.15
    assert 4 < (marked == OUTLINE).all(axis=2).sum() < 500


def test_the_stage_shows_every_purpose() -> None:
    preview = np.asarray(Image.open(tiny_unit().synthetic / "preview.png"))
    # train 6, validation's 6, and 2 of each of two β and a visibility.
    rows, sections = 3 + 3 + 3, 2 + 3
    assert preview.shape[0] == sections * HEADING + rows * HEIGHT + GAP
