"""Masks as labelling tools save them: what is drawn is what counts."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from blemish.images.masks import SAID, interpret_mask, mask_notes, read_mask

SIDE = 96


def drawn(value: int = 255) -> np.ndarray:
    """A disc, a bar of 4 pixels and a dot."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (30, 30), 14, value, -1)
    cv2.line(mask, (60, 10), (85, 80), value, 4)
    mask[70:75, 20:25] = value
    return mask


TRUE = drawn() > 0


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    Image.fromarray(pixels, mode).save(path, **options)
    return path


def agreement(mask: np.ndarray, truth: np.ndarray = TRUE) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize("value", [1, 2, 128, 255])
def test_two_values_are_background_and_defect(tmp_path: Path, value: int) -> None:
    read = interpret_mask(saved(tmp_path / "a.png", drawn(value)))
    np.testing.assert_array_equal(read.mask, TRUE)
    assert read.how == ()


def test_the_darker_of_two_values_is_the_background_also_above_0(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.where(TRUE, 2, 1).astype(np.uint8))
    np.testing.assert_array_equal(read_mask(path), TRUE)


@pytest.mark.parametrize("quality", [50, 75, 90, 100])
def test_noise_of_jpeg_is_no_defect(tmp_path: Path, quality: int) -> None:
    read = interpret_mask(saved(tmp_path / "a.jpg", drawn(), quality=quality))
    assert agreement(read.mask) > 0.97
    assert read.how == ("soft",)


def test_a_jpeg_saved_again_without_loss_is_read_alike(tmp_path: Path) -> None:
    with Image.open(saved(tmp_path / "a.jpg", drawn(), quality=75)) as image:
        image.save(tmp_path / "b.png")
    assert agreement(read_mask(tmp_path / "b.png")) > 0.97


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_soft_edges_are_cut_in_the_middle(tmp_path: Path, scale: int) -> None:
    size = (SIDE * scale, SIDE * scale)
    large = cv2.resize(drawn(), size, interpolation=cv2.INTER_LINEAR)
    read = interpret_mask(saved(tmp_path / "a.png", large))
    np.testing.assert_array_equal(read.mask, large > 127)
    assert read.how == ("soft",)


def test_smoothed_outlines_are_cut_in_the_middle(tmp_path: Path) -> None:
    fine = np.zeros((4 * SIDE, 4 * SIDE), np.uint8)
    cv2.circle(fine, (120, 120), 70, 255, -1)
    smooth = cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    read = interpret_mask(saved(tmp_path / "a.png", smooth))
    np.testing.assert_array_equal(read.mask, smooth > 127)


@pytest.mark.parametrize("classes", [(1, 2, 3), (50, 100, 150), (1, 2, 255), (85, 170, 255)])
def test_all_classes_are_defects(tmp_path: Path, classes: tuple[int, int, int]) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for number, value in enumerate(classes):
        mask[10 + 25 * number : 30 + 25 * number, 20:60] = value
    read = interpret_mask(saved(tmp_path / "a.png", mask))
    np.testing.assert_array_equal(read.mask, mask > 0)
    assert read.how == ("classes",)


def test_thin_and_small_classes_are_not_taken_for_edges(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20], mask[:, 70], mask[60:62, 5:7] = 100, 200, 255
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "a.png", mask)), mask > 0)


def test_numbered_defects_are_all_defects(tmp_path: Path) -> None:
    """Instance masks number their objects, more than there are shades in a drawing."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for number in range(40):
        row, column = divmod(number, 8)
        mask[4 + 18 * row : 12 + 18 * row, 4 + 11 * column : 10 + 11 * column] = number + 1
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "a.png", mask)), mask > 0)
    deep = saved(tmp_path / "b.png", mask.astype(np.uint16))
    np.testing.assert_array_equal(read_mask(deep), mask > 0)


def test_a_palette_counts_by_index_not_by_colour(tmp_path: Path) -> None:
    image = Image.fromarray(drawn(1), "P")
    image.putpalette([200, 255, 200, 0, 0, 0])  # a bright background, black defects
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), TRUE)


def test_the_border_of_pascal_voc_is_no_defect(tmp_path: Path) -> None:
    indices = drawn(2)
    indices[(cv2.dilate(indices, np.ones((5, 5))) > 0) & (indices == 0)] = 255
    image = Image.fromarray(indices, "P")
    image.putpalette(list(range(256)) * 3)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), TRUE)


@pytest.mark.parametrize("colour", [0, 255, 90])
def test_what_is_opaque_is_the_defect(tmp_path: Path, colour: int) -> None:
    rgba = np.dstack([np.full((SIDE, SIDE), colour, np.uint8)] * 3 + [drawn()])
    read = interpret_mask(saved(tmp_path / "a.png", rgba))
    np.testing.assert_array_equal(read.mask, TRUE)
    assert read.how == ("alpha",)


def test_an_opaque_alpha_says_nothing(tmp_path: Path) -> None:
    rgba = np.dstack([drawn()] * 3 + [np.full((SIDE, SIDE), 255, np.uint8)])
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "a.png", rgba)), TRUE)


def test_a_transparent_frame_around_a_drawing_is_background(tmp_path: Path) -> None:
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[4:-4, 4:-4] = 255
    path = saved(tmp_path / "a.png", np.dstack([drawn()] * 3 + [alpha]))
    np.testing.assert_array_equal(read_mask(path), TRUE & (alpha > 0))


def test_colours_are_defects(tmp_path: Path) -> None:
    colours = np.zeros((SIDE, SIDE, 3), np.uint8)
    colours[TRUE], colours[70:75, 20:25] = (255, 0, 0), (0, 0, 255)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "a.png", colours)), TRUE)


@pytest.mark.parametrize(("value", "said"), [(0, "nothing"), (1, "all"), (255, "all")])
def test_a_mask_of_one_value_is_noted(tmp_path: Path, value: int, said: str) -> None:
    read = interpret_mask(saved(tmp_path / "a.png", np.full((8, 8), value, np.uint8)))
    assert (read.mask == (value > 0)).all()
    assert read.how == (said,)


def test_notes_count_and_name() -> None:
    notes = mask_notes([("a.png", ("soft",)), ("b.png", ()), ("c.png", ("soft", "all"))])
    assert notes == [
        f"2 mask(s) with {SAID['soft']}, e.g. a.png.",
        f"1 mask(s) with {SAID['all']}, e.g. c.png.",
    ]
