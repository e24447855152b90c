"""DLAS-Net's masks, `docs/spec/dlas-net.md` §2, §10: shares and areas of branches at 288 pixels.

The published statistics come from 3,000 draws; the tolerance is three standard errors of our
draws and of theirs together, plus half a unit of the last published digit.
"""

import math

import pytest
import torch
from torch import Tensor

from blemish.synthesis import masks as module
from blemish.synthesis.masks import cell_masks, dlas_masks, draw_masks
from blemish.synthesis.perlin import perlin_exceeds
from blemish.synthesis.random import uniforms

SIZE, CELL, TRIALS, THEIRS = 288, 16, 900, 1000
SEEDS = torch.arange(TRIALS) * 101


@pytest.fixture(scope="module")
def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Masks before rejection, the Perlin field alone, and the branch of each seed."""
    parts = SEEDS.split(50)
    masks = torch.cat([dlas_masks(part, SIZE, SIZE) for part in parts])
    perlin = torch.cat([perlin_exceeds(part, 1, SIZE, SIZE) for part in parts])
    choice = uniforms(SEEDS, 60, 1)[:, 0]
    return masks, perlin, (choice > 1 / 3).long() + (choice > 2 / 3).long()


def near(published: float, values: Tensor, digit: float):
    error = values.std().item() * math.sqrt(1 / len(values) + 1 / THEIRS)
    return pytest.approx(published, abs=3 * error + digit / 2)


def areas(masks: Tensor) -> Tensor:
    return masks.flatten(1).double().mean(dim=1)


def test_branches_are_equally_frequent_before_rejection(drawn) -> None:
    counts = torch.bincount(drawn[2], minlength=3) / TRIALS
    assert counts.tolist() == [pytest.approx(1 / 3, abs=3 * math.sqrt(2 / 9 / TRIALS))] * 3


def test_nothing_is_added_in_the_circle_branch_and_only_added_in_the_others(drawn) -> None:
    masks, perlin, branch = drawn
    assert torch.equal(masks[branch == 0], perlin[branch == 0])
    assert not (perlin & ~masks).any()
    added = areas(masks & ~perlin)
    assert (added[branch > 0] > 0).all()


# branch, mean area, its digit, median, mean share of positive 16-pixel cells
PUBLISHED = [
    (2, 0.24, 0.01, 0.15, 0.44),
    (1, 0.050, 0.001, 0.048, 0.28),
    (0, 0.05, 0.001, 0.047, 0.24),
]


@pytest.mark.parametrize(("branch", "area", "digit", "median", "cells"), PUBLISHED)
def test_areas_of_each_branch(drawn, branch, area, digit, median, cells) -> None:
    masks = drawn[0][drawn[2] == branch]
    masks = masks[masks.flatten(1).any(dim=1)]
    shares = areas(masks)
    assert shares.mean().item() == near(area, shares, digit)
    # Thin lines and bands leave a gap about the median of their branch, so quantiles are compared:
    # those three standard errors of a rank below and above the median.
    error = 3 * math.sqrt(0.25 / len(shares) + 0.25 / THEIRS)
    low, high = shares.quantile(torch.tensor([0.5 - error, 0.5 + error]).double()).tolist()
    assert low - 0.0005 <= median <= high + 0.0005
    positive = areas(cell_masks(masks, SIZE // CELL, SIZE // CELL))
    assert positive.mean().item() == near(cells, positive, 0.01)


def test_emptiness_before_rejection(drawn) -> None:
    masks, _, branch = drawn
    empty = ~masks.flatten(1).any(dim=1)
    assert not empty[branch > 0].any()
    share = empty[branch == 0].double()
    assert share.mean().item() == near(0.04, share, 0.01)


def test_shapes_alone_have_the_published_areas() -> None:
    seeds = torch.arange(1500) * 7
    lines = areas(torch.cat([module.line_masks(part, SIZE, SIZE) for part in seeds.split(100)]))
    assert lines.mean().item() == near(0.20, lines, 0.01)
    bands = lines[(uniforms(seeds, 61, 1)[:, 0] >= 0.5)]
    assert bands.mean().item() == near(0.39, bands, 0.01)
    assert bands.min().item() == pytest.approx(0.09, abs=0.01)
    assert 0.70 < bands.max().item() <= 4 * 61 / 288  # published: 0.81, of other draws
    points = areas(torch.cat([module.point_masks(part, SIZE, SIZE) for part in seeds.split(100)]))
    assert points.mean().item() == near(0.002, points, 0.001)
    pixels = points * SIZE * SIZE
    assert pixels.max().item() <= 29 * 9
    assert pixels.min().item() >= 10 * 4 - 9  # some cut off at the border, some overlapping


def test_sizes_scale_with_the_resolution() -> None:
    seeds = torch.arange(600)
    small, large = (
        areas(torch.cat([module.line_masks(part, side, side) for part in seeds.split(100)]))
        for side in (96, 288)
    )
    assert small.mean().item() == pytest.approx(large.mean().item(), rel=0.06)


def test_drawn_again_until_a_cell_is_positive() -> None:
    assert draw_masks(dlas_masks, SEEDS[:200], (SIZE, SIZE), CELL).flatten(1).any(dim=1).all()
