"""Pictures that are windows of larger images, or elongated: defects keep their size and shape."""

import hashlib

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from blemish.synthesis.kinds import TRAINED, UNTRAINED, kind
from blemish.synthesis.masks import perlin_masks, shape_masks, single_perlin_masks
from blemish.synthesis.perlin import perlin_exceeds, perlin_field
from blemish.synthesis.random import uniforms
from blemish.synthesis.render import render
from tests.drawing import KINDS, new_bank, some_images, some_recipes

SEEDS = torch.arange(120) * 44_497
SEEDS_OF_SHAPES = torch.arange(400)
SOFT = {name: kind(name).shape for name in (*TRAINED, *UNTRAINED) if kind(name).shape}
RELATIVE = {*SOFT, "crops", "shapes", "shades"}  # to the whole image, not to the picture


def drawn(name: str, size: tuple[int, int], side: float | None) -> tuple[Tensor, Tensor]:
    recipes = some_recipes(24, [name])
    return render(recipes, some_images(*size, 24) // 4 + 96, new_bank(), 8, side=side)


@pytest.mark.parametrize("size", [(96, 128), (64, 64)])
@pytest.mark.parametrize("name", KINDS)
def test_a_whole_picture_is_a_window_of_its_own_side(name: str, size: tuple[int, int]) -> None:
    whole, same = drawn(name, size, None), drawn(name, size, min(size))
    assert torch.equal(whole[0], same[0])
    assert torch.equal(whole[1], same[1])


@pytest.mark.parametrize("name", KINDS)
def test_which_kinds_are_larger_in_a_window_of_a_larger_image(name: str) -> None:
    whole, window = drawn(name, (96, 128), None)[1], drawn(name, (96, 128), 480)[1]
    if name in RELATIVE:
        assert window.sum() > 1.1 * whole.sum()  # no line is thinner than a pixel
    else:
        assert torch.equal(window, whole)


@pytest.mark.parametrize("name", sorted({"spot", "cylinder", "dots"}))
def test_small_soft_defects_have_as_many_pixels_in_a_window_as_in_the_image(name: str) -> None:
    sizes = {"whole": (600, 600, 0.6), "window": (150, 200, 0.6), "reduced": (150, 200, 0.3)}
    areas = {}
    for case, size in sizes.items():
        labels = torch.cat([SOFT[name](part, *size)[1] for part in SEEDS[:60].split(20)])
        areas[case] = labels.flatten(1).sum(dim=1).double().mean().item()
    # A few are cut off at the window's border, and those with many parts meet more often.
    assert 0.85 < areas["window"] / areas["whole"] < 1
    assert areas["window"] / areas["reduced"] == pytest.approx(4, rel=0.15)


def test_a_crop_has_its_size_in_a_window_and_is_cut_off_beyond() -> None:
    whole, window = (drawn("crops", size, 80)[1] for size in ((80, 120), (48, 64)))
    areas = [masks.flatten(1).sum(dim=1).double() for masks in (whole, window)]
    assert areas[1].max().item() == pytest.approx(areas[0].max().item(), rel=0.2)
    assert areas[1].min() < areas[0].min()


def longest(mask: Tensor) -> float:
    """The longer side of the least turned box around a mask."""
    ys, xs = np.nonzero(mask.numpy())
    return float(max(cv2.minAreaRect(np.stack((xs, ys), axis=1).astype(np.float32))[1])) + 1


@pytest.mark.parametrize(("side", "least"), [(200, 4), (300, 6), (1000, 6)])
def test_held_out_shapes_are_small_on_large_images_too(side: int, least: float) -> None:
    alone = SEEDS_OF_SHAPES[torch.floor(uniforms(SEEDS_OF_SHAPES, 40, 1) * 4)[:, 0] == 0]
    single = [longest(shape_masks(seed, side, side)[0]) for seed in alone.split(1)]
    assert 80 < len(single) < 120
    assert least - 2 < min(single) < 1.5 * least
    share = np.log(0.02 * 1.5 * side / least) / np.log(0.25 * side / least)
    assert np.mean(np.array(single) < 0.02 * 1.5 * side) == pytest.approx(share, abs=0.13)


def test_held_out_shapes_of_a_window_are_those_of_the_image() -> None:
    def area(height: int, side: int | None) -> float:
        masks = [shape_masks(part, height, height + 40, side) for part in SEEDS[:60].split(10)]
        return float(torch.cat(masks).flatten(1).sum(dim=1).double().mean())

    whole, window, reduced = area(600, None), area(260, 600), area(130, 300)
    assert 0.8 < window / whole < 1
    assert window / 4 <= reduced < window / 2  # no smaller than 6 pixels in either
    # Up to 300 pixels nothing is as small as the smallest: every user's sets stay as they are.
    small = shape_masks(torch.arange(64) * 7919, 300, 260)
    assert (
        hashlib.sha256(np.packbits(small.numpy()).tobytes()).hexdigest()[:16] == "7e487210e1ecff39"
    )


@pytest.mark.parametrize(("height", "width"), [(20, 101), (101, 20), (31, 46), (7, 150)])
def test_the_field_of_an_elongated_picture_is_the_middle_of_a_squares(
    height: int, width: int
) -> None:
    square = max(height, width)
    top, left = (square - height) // 2, (square - width) // 2
    middle = np.s_[:, top : top + height, left : left + width]
    for stream in (1, 2):
        field = perlin_field(SEEDS, stream, height, width, square)
        found = perlin_exceeds(SEEDS, stream, height, width, square)
        assert torch.equal(found, field > 0.5)
        assert torch.equal(found, perlin_exceeds(SEEDS, stream, square, square)[middle])
        assert 0.02 < found.double().mean() < 0.1


def test_long_strips_are_made_of_pieces_that_fit_together() -> None:
    # Ten pieces; what one lacked at its edge would show.
    found = perlin_exceeds(SEEDS[:16], 1, 64, 640, 640)
    whole = perlin_exceeds(SEEDS[:16], 1, 640, 640)
    assert torch.equal(found, whole[:, 288:352])
    assert perlin_masks(SEEDS[:4], 64, 640).flatten(1).any(dim=1).any()


@pytest.mark.parametrize(
    ("height", "width", "stretched"), [(64, 64, True), (80, 100, True), (80, 102, False)]
)
def test_near_squares_stay_stretched(height: int, width: int, stretched: bool) -> None:
    masks = single_perlin_masks(SEEDS, height, width)
    assert torch.equal(masks, perlin_exceeds(SEEDS, 1, height, width)) == stretched


def test_clean_windows_need_no_foreground() -> None:
    recipes, images = some_recipes(6, ["clean", "dsarad", "perlin"]), some_images(64, 80, 6)
    foreground = torch.zeros(6, 64, 80, dtype=torch.bool)
    foreground[[2, 5]] = True  # only those that have a defect for certain
    pictures, masks = render(recipes, images, new_bank(), 8, foreground, side=400)
    assert torch.equal(pictures[[0, 1, 3, 4]], images[[0, 1, 3, 4]] / 255)
    assert masks.flatten(1).any(dim=1).tolist() == [False, False, True] * 2
    alone = recipes.iloc[[0]], images[:1], new_bank(), 8, foreground[:1]
    assert not render(*alone)[1].any()
