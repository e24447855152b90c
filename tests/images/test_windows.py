"""Windows that cover a picture, for many sizes: nothing is missed, nothing counted twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blemish.images.framing import Framing
from blemish.images.windows import BLIND, axis, windows


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Pixels, length, overlap and step: step divides the first two, pixels are no fewer."""
    step = draw(st.sampled_from([1, 4, 8, 32, 64, 96]))
    length = step * draw(st.integers(1, 12))
    pixels = length + step * draw(st.integers(0, 60))
    return pixels, length, draw(st.integers(0, int(0.75 * length))), step


@given(axes())
def test_everything_is_covered_once_and_starts_lie_on_the_grid(case) -> None:
    pixels, length, overlap, step = case
    found = axis(*case)
    starts = found.starts.tolist()
    assert (starts[0], starts[-1]) == (0, pixels - length)
    assert all(start % step == 0 for start in starts)
    for first, second in pairwise(starts):
        assert first < second <= first + length
        # A window moves by a step at least: of windows of one or two steps less is left to share.
        assert first + length - second >= min(overlap, length - step)


@given(axes())
def test_weights_add_up_to_one_at_every_pixel(case) -> None:
    pixels, length, *_ = case
    found, total = axis(*case), np.zeros(pixels)
    assert found.weights.min() >= 0
    for start, weight in zip(found.starts, found.weights, strict=True):
        total[start : start + length] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(axes())
def test_owned_parts_share_the_axis_out(case) -> None:
    pixels, length, _, step = case
    found = axis(*case)
    parts = found.owned + found.starts[:, None]
    assert parts[0, 0] == 0
    assert parts[-1, 1] == pixels
    assert (parts[1:, 0] == parts[:-1, 1]).all()
    assert (found.owned[:, 0] >= 0).all()
    assert (found.owned[:, 1] <= length).all()
    assert (found.owned[:, 0] < found.owned[:, 1]).all()
    assert (parts % step == 0).all()


def test_the_border_of_a_window_counts_for_nothing_where_a_neighbour_sees_it() -> None:
    found = axis(448, 256, 64, 32)
    assert found.starts.tolist() == [0, 192]
    blind = int(BLIND * 64)
    first, second = found.weights
    assert (first[256 - blind :] == 0).all()
    assert (second[:blind] == 0).all()
    assert (first[:192] == 1).all()  # up to the picture's border
    assert (np.diff(first[192 + blind : 256 - blind]) < 0).all()
    np.testing.assert_allclose(first[192:], second[:64][::-1], atol=1e-6)
    assert found.owned.tolist() == [[0, 224], [32, 256]]


def test_windows_of_a_picture_are_the_product_of_its_axes() -> None:
    framing = Framing(64, 96, "tiles", overlap=16, step=32)
    size = (160, 96)
    found = list(windows(framing, size))
    rows = axis(160, 64, 16, 32)
    assert [(one.top, one.left) for one in found] == [(top, 0) for top in rows.starts]
    total, owned = np.zeros(size), np.zeros(size)
    for one in found:
        down, across = one.weights
        total[one.top : one.top + 64, one.left : one.left + 96] += down[:, None] * across
        top, bottom, left, right = one.owned
        owned[one.top + top : one.top + bottom, one.left + left : one.left + right] += 1
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert (owned == 1).all()


@pytest.mark.parametrize("resize", ["squash", "crop", "fit", "tiles"])
def test_a_picture_that_is_seen_at_once_is_one_window(resize) -> None:
    framing = Framing(50, 70, resize, overlap=16)  # no multiple of any step
    (only,) = windows(framing, (50, 70))
    assert (only.top, only.left, only.owned) == (0, 0, (0, 50, 0, 70))
    assert all((weight == 1).all() for weight in only.weights)
