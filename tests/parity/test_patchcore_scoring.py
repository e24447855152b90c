"""PatchCore, equations 6 and 7: distances without cancellation, the re-weighted image score."""

import math

import pytest
import torch
from torch import Tensor

from blemish.methods.patchcore import plain, scoring
from blemish.methods.patchcore.scoring import image_score, nearest


def rows(count: int, offset: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return (torch.randn(count, 24, generator=generator, dtype=torch.float64) + offset).float()


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("block", [7, 4096])
def test_distances_equal_those_of_float64(offset: float, block: int, monkeypatch) -> None:
    monkeypatch.setattr(scoring, "ROWS", block)
    queries, bank = rows(50, offset), rows(300, offset)
    queries[3] = bank[41]
    queries[4] = bank[42] + 1e-3
    distance, row = nearest(queries, bank)
    exact = plain.patch_distances(queries, bank)
    assert distance.dtype == torch.float64
    assert torch.allclose(distance, exact.amin(dim=1), rtol=1e-12, atol=0)
    assert row.tolist() == exact.argmin(dim=1).tolist()
    # As float32 products alone would not have it: |q|² + |m|² − 2q·m of near rows is noise.
    assert float(distance[3]) == 0
    assert float(distance[4]) == pytest.approx(1e-3 * 24**0.5, rel=0.02)


def test_the_image_score_by_hand() -> None:
    bank = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0], [9.0, 9.0]])
    queries = torch.tensor([[0.0, 0.5], [0.0, -2.0]])
    distance, row = nearest(queries, bank)
    assert distance.tolist() == [0.5, 2.0]
    # m* is the origin; its two nearest are itself and (1, 0), √5 away from the patch.
    weight = 1 - math.exp(2) / (math.exp(2) + math.exp(math.sqrt(5)))
    assert float(image_score(queries, distance, row, bank, 2)) == pytest.approx(2 * weight)
    everything = [2, math.sqrt(5), 5, math.hypot(9, 11)]
    weight = 1 - math.exp(2) / sum(map(math.exp, everything))
    for b in (4, 9):  # a bank of four has no more than four
        assert float(image_score(queries, distance, row, bank, b)) == pytest.approx(2 * weight)


@pytest.mark.parametrize("b", [2, 3, 9])
def test_the_image_score_equals_the_equations(b: int, monkeypatch) -> None:
    monkeypatch.setattr(scoring, "ROWS", 64)
    queries, bank = rows(40), rows(200)
    distance, row = nearest(queries, bank)
    found = float(image_score(queries, distance, row, bank, b))
    assert found == pytest.approx(plain.image_score(queries, bank, b), rel=1e-12)


def test_distances_whose_exponential_overflows_still_weigh() -> None:
    bank, queries = 2000 * rows(50), 2000 * rows(12)
    distance, row = nearest(queries, bank)
    assert float(distance.max()) > 1000
    found = float(image_score(queries, distance, row, bank, 9))
    assert 0 < found <= float(distance.max())
