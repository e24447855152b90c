"""GLASS's masks, `docs/spec/glass.md` §3.1–3.2 and §21: the Perlin field, mask statistics.

Seeds are fixed, so the statistics are numbers, not luck. Their tolerance is three standard errors
of our trials and of the published ones together, plus half a unit of the last published digit.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.ndimage import affine_transform
from torch import Tensor

from blemish.synthesis import perlin
from blemish.synthesis.masks import cell_masks, draw_masks, perlin_masks, shape_masks
from blemish.synthesis.perlin import MOST_CELLS, perlin_exceeds, perlin_field
from blemish.synthesis.random import uniforms

SIZE, CELL = 288, 8
TRIALS = 700
LATTICE = MOST_CELLS + 1


@dataclass(frozen=True)
class Draw:
    """What one seed says about one field: cells a side, corner angles, rotation."""

    rows: int
    columns: int
    angles: np.ndarray
    turn: float


def draws(seeds: Tensor, stream: int) -> list[Draw]:
    numbers = uniforms(seeds, 16 * stream, 3).numpy()
    angles = uniforms(seeds, 16 * stream + 1, LATTICE**2).numpy() * 2 * math.pi
    return [
        Draw(2 ** int(6 * a), 2 ** int(6 * b), corner.reshape(LATTICE, LATTICE), (c - 0.5) * np.pi)
        for (a, b, c), corner in zip(numbers, angles, strict=True)
    ]


def field_by_pixel(draw: Draw, height: int, width: int) -> np.ndarray:
    """Gradient noise pixel by pixel, then SciPy's rotation about the centre."""

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    field = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            y, x = row * draw.rows / height, column * draw.columns / width
            top, left = int(y), int(x)
            total = 0.0
            for i in (top, top + 1):
                for j in (left, left + 1):
                    weight_y = fade(y - top) if i > top else 1 - fade(y - top)
                    weight_x = fade(x - left) if j > left else 1 - fade(x - left)
                    angle = draw.angles[i, j]
                    slope = math.sin(angle) * (y - i) + math.cos(angle) * (x - j)
                    total += weight_y * weight_x * slope
            field[row, column] = math.sqrt(2) * total
    cosine, sine = math.cos(draw.turn), math.sin(draw.turn)
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array([height - 1, width - 1]) / 2
    offset = middle - matrix @ middle
    return affine_transform(field, matrix, offset, order=1, mode="grid-constant", cval=0.0)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 80), (50, 37)])
def test_field_equals_gradient_noise_pixel_by_pixel(height: int, width: int) -> None:
    seeds = torch.tensor([0, 1, 5, 77, 2**32 - 1])
    for stream in (1, 2):
        fields = perlin_field(seeds, stream, height, width).numpy()
        for field, draw in zip(fields, draws(seeds, stream), strict=True):
            np.testing.assert_allclose(field, field_by_pixel(draw, height, width), atol=1e-10)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 93), (256, 256)])
def test_the_fast_threshold_is_that_of_the_field(height: int, width: int) -> None:
    seeds = torch.arange(96) * 44_497 % 2**32
    for part in seeds.split(16):
        for stream in (1, 2):
            expected = perlin_field(part, stream, height, width) > 0.5
            assert torch.equal(perlin_exceeds(part, stream, height, width), expected)


def test_pixels_that_float32_cannot_decide_are_decided_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With such a margin every pixel is "close", so all go through the exact path.
    monkeypatch.setattr(perlin, "MARGIN", 10.0)
    seeds = torch.tensor([3, 88, 2**32 - 1])
    expected = perlin_field(seeds, 1, 40, 56) > 0.5
    assert torch.equal(perlin_exceeds(seeds, 1, 40, 56), expected)


def test_scales_angles_and_rotations_are_uniform() -> None:
    many = draws(torch.arange(6000), 1)
    scales = Counter(draw.rows for draw in many) + Counter(draw.columns for draw in many)
    assert sorted(scales) == [1, 2, 4, 8, 16, 32]
    assert stats.chisquare(list(scales.values())).pvalue > 0.01
    pairs = Counter((draw.rows, draw.columns) for draw in many)
    assert stats.chisquare(list(pairs.values())).pvalue > 0.01
    assert len(pairs) == 36
    angles = np.concatenate([draw.angles[:3, :3].ravel() for draw in many])
    assert stats.kstest(angles / (2 * math.pi), "uniform").pvalue > 0.01
    turns = np.array([draw.turn for draw in many])
    assert stats.kstest(turns / math.pi + 0.5, "uniform").pvalue > 0.01


@dataclass(frozen=True)
class Sample:
    """The masks of TRIALS seeds before rejection, in each of the three cases and as drawn."""

    cases: dict[str, Tensor]
    case: np.ndarray
    masks: Tensor

    @property
    def accepted(self) -> Tensor:
        return self.masks.flatten(1).any(dim=1)


@pytest.fixture(scope="module")
def sample() -> Sample:
    seeds = torch.arange(TRIALS)
    parts = seeds.split(16)
    first = torch.cat([perlin_field(part, 1, SIZE, SIZE) > 0.5 for part in parts])
    second = torch.cat([perlin_field(part, 2, SIZE, SIZE) > 0.5 for part in parts])
    cases = {"union": first | second, "intersection": first & second, "single": first}
    choice = uniforms(seeds, 3, 1)[:, 0].numpy()
    case = np.select([choice > 2 / 3, choice > 1 / 3], ["union", "intersection"], "single")
    rows = [cases[name][number] for number, name in enumerate(case)]
    return Sample(cases, case, torch.stack(rows))


def published(value: float, deviation: float, trials: int, digit: float, theirs: int = 1000):
    """The published value with its tolerance, see above; `theirs` are the trials behind it."""
    error = deviation * math.sqrt(1 / trials + 1 / theirs)
    return pytest.approx(value, abs=3 * error + digit / 2)


def rate(value: float, trials: int, digit: float, theirs: int = 1000):
    return published(value, math.sqrt(value * (1 - value)), trials, digit, theirs)


def mean_of(values: Tensor, value: float, digit: float, theirs: int = 1000):
    assert values.mean().item() == published(value, values.std().item(), len(values), digit, theirs)


def test_masks_are_the_chosen_case(sample: Sample) -> None:
    seeds = torch.arange(60)
    assert torch.equal(perlin_masks(seeds, SIZE, SIZE), sample.masks[:60])
    assert stats.chisquare(list(Counter(sample.case.tolist()).values())).pvalue > 0.01


@pytest.mark.parametrize(
    ("case", "empty", "digit", "area", "area_digit"),
    [
        ("union", 0.002, 0.001, 0.094, 0.001),
        ("intersection", 0.23, 0.01, 0.0031, 0.0001),
        ("single", 0.05, 0.01, 0.051, 0.001),
    ],
)
def test_emptiness_and_area_of_each_case(
    sample: Sample, case: str, empty: float, digit: float, area: float, area_digit: float
) -> None:
    areas = sample.cases[case].flatten(1).double().mean(dim=1)
    assert (areas == 0).double().mean().item() == rate(empty, TRIALS, digit)
    mean_of(areas[areas > 0], area, area_digit)


def test_shares_and_area_of_accepted_masks(sample: Sample) -> None:
    accepted = sample.accepted
    assert accepted.double().mean().item() == rate(0.91, TRIALS, 0.01, 3000)
    count = int(accepted.sum())
    shares = {
        name: (sample.case[accepted.numpy()] == name).mean() for name in set(sample.case.tolist())
    }
    assert shares["union"] == rate(0.375, count, 0.001, 3000)
    assert shares["intersection"] == rate(0.27, count, 0.01, 3000)
    assert shares["single"] == rate(0.35, count, 0.01, 3000)
    areas = sample.masks[accepted].flatten(1).double().mean(dim=1)
    mean_of(areas, 0.054, 0.001, 3000)
    low, median, high = np.quantile(areas, [0.05, 0.5, 0.95])
    assert median == pytest.approx(0.049, abs=0.006)
    assert low == pytest.approx(0.001, abs=0.001)
    assert high == pytest.approx(0.13, abs=0.01)
    cells = cell_masks(sample.masks[accepted], SIZE // CELL, SIZE // CELL)
    positive = cells.flatten(1).double().mean(dim=1)
    mean_of(positive, 0.139, 0.001, 3000)
    assert positive.median().item() == pytest.approx(0.128, abs=0.015)


@pytest.mark.parametrize(("cells", "empty", "digit"), [(1, 0.57, 0.01), (2, 0.15, 0.01)])
def test_emptiness_of_fields_with_few_cells(cells: int, empty: float, digit: float) -> None:
    seeds = torch.arange(20_000)
    scales = 2 ** torch.floor(uniforms(seeds, 16, 3)[:, :2] * 6)
    chosen = seeds[(scales == cells).all(dim=1)][:200]
    fields = torch.cat([perlin_field(part, 1, SIZE, SIZE) for part in chosen.split(16)])
    share = (fields.flatten(1).amax(dim=1) <= 0.5).double().mean().item()
    assert share == rate(empty, 200, digit)


MAKERS = {"perlin": perlin_masks, "shapes": shape_masks}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(("height", "width", "cell"), [(64, 64, 16), (50, 93, 7)])
def test_drawn_masks_have_a_positive_cell(kind: str, height: int, width: int, cell: int) -> None:
    masks = draw_masks(MAKERS[kind], torch.arange(300), (height, width), cell)
    whole = masks[:, : height // cell * cell, : width // cell * cell]
    assert whole.flatten(1).any(dim=1).all()


def test_rejection_redraws_everything_and_keeps_what_was_accepted(sample: Sample) -> None:
    drawn = draw_masks(perlin_masks, torch.arange(60), (SIZE, SIZE), CELL)
    accepted = sample.accepted[:60]
    assert not accepted.all()
    assert torch.equal(drawn[accepted], sample.masks[:60][accepted])


def test_cells_are_the_published_maximum_pooling(sample: Sample) -> None:
    masks = sample.masks[:40]
    pooled = torch.nn.functional.max_pool2d(masks.double(), CELL, CELL) > 0
    assert torch.equal(cell_masks(masks, SIZE // CELL, SIZE // CELL), pooled)
