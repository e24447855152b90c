"""PatchCore, Algorithm 1: the lazy coreset picks what greedy picks, and covers as well."""

import math

import pytest
import torch
from torch import Tensor

from blemish.methods.patchcore import coreset as module
from blemish.methods.patchcore import plain
from blemish.methods.patchcore.coreset import Coreset, nearest_squared


def clustered(count: int, dimensions: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Most points in a few clumps, as patches are."""
    generator = torch.Generator().manual_seed(count)
    centres = 5 * torch.randn(9, dimensions, generator=generator, dtype=dtype)
    member = torch.randint(9, (count,), generator=generator)
    spread = torch.rand(count, 1, generator=generator, dtype=dtype) ** 4
    return centres[member] + spread * torch.randn(
        count, dimensions, generator=generator, dtype=dtype
    )


@pytest.mark.parametrize("candidates", [1, 7, 64, 5000])
@pytest.mark.parametrize("scattered", [False, True])
def test_the_picks_are_those_of_greedy(candidates: int, scattered: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    points = (
        torch.rand(500, 6, generator=generator, dtype=torch.float64)
        if scattered
        else clustered(500, 6)
    )
    picked, radius = plain.greedy(points, 80, first=17)
    coreset = Coreset(points.clone(), 80, 17, candidates)
    for count in (1, 2, 33, 80):
        coreset.grow(count)
        assert coreset.count == count
    assert coreset.picked.tolist() == picked
    assert float(coreset.radius) == pytest.approx(radius, rel=1e-12)


def test_blocks_of_picks_do_not_change_the_picks(monkeypatch) -> None:
    points = clustered(400, 5)
    whole = Coreset(points.clone(), 100, 0, 50)
    whole.grow(100)
    monkeypatch.setattr(module, "CENTRES", 3)
    parts = Coreset(points.clone(), 100, 0, 50)
    parts.grow(100)
    assert parts.picked.tolist() == whole.picked.tolist()


def test_every_point_may_be_picked_and_equal_points_too() -> None:
    points = torch.cat([clustered(40, 3), torch.ones(30, 3, dtype=torch.float64)])
    coreset = Coreset(points.clone(), 70, 5, 8)
    coreset.grow(70)
    assert sorted(coreset.picked.tolist()) == list(range(70))
    assert float(coreset.radius) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_point_that_is_not_finite_is_refused(value: float) -> None:
    points = clustered(40, 3)
    points[7, 1] = value
    with pytest.raises(ValueError, match="a point is not finite"):
        Coreset(points, 5, 0)


def test_float32_covers_as_well_far_from_the_origin() -> None:
    exact = clustered(3000, 16) + 300
    picked, _ = plain.greedy(exact, 150, first=0)
    coreset = Coreset(exact.float(), 150, 0, 256)
    coreset.grow(150)
    reference = plain.covering_radius(exact, torch.tensor(picked))
    assert plain.covering_radius(exact, coreset.picked) == pytest.approx(reference, rel=1e-3)


def test_a_point_soon_covered_is_not_looked_at_again(monkeypatch) -> None:
    pairs = 0

    def counted(points: Tensor, centres: Tensor) -> Tensor:
        nonlocal pairs
        pairs += len(points) * len(centres)
        return nearest_squared(points, centres)

    monkeypatch.setattr(module, "nearest_squared", counted)
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(20_000, 8, generator=generator)
    points[1000:] = 50 + 0.01 * points[1000:]  # a clump that one pick covers
    coreset = Coreset(points, 500, 0, 512)
    coreset.grow(500)
    assert pairs < 0.2 * 20_000 * 500


def test_it_goes_on_from_a_state_with_the_same_picks() -> None:
    points = clustered(600, 4, torch.float32)
    whole = Coreset(points.clone(), 60, 3, 32)
    for count in (25, 60):
        whole.grow(count)
    half = Coreset(points.clone(), 60, 3, 32)
    half.grow(25)
    state = {
        name: one.clone() if isinstance(one, Tensor) else one
        for name, one in half.state_dict().items()
    }
    again = Coreset(points.clone(), 60, 0, 32)
    again.load_state_dict(state)
    again.grow(60)
    assert again.picked.tolist() == whole.picked.tolist()
    assert again.bounds.tolist() == whole.bounds.tolist()


def test_nearest_squared_equals_the_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    points, centres = (torch.randn(n, 7, generator=generator, dtype=torch.float64) for n in (9, 4))
    expected = (points[:, None] - centres).square().sum(dim=2).amin(dim=1)
    assert torch.allclose(nearest_squared(points, centres), expected, rtol=0, atol=1e-12)
    assert math.isclose(float(nearest_squared(points, points[:1])[0]), 0, abs_tol=1e-12)
