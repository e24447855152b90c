"""Whitened features: no direction of the normals says more than another."""

import numpy as np
import pytest
import torch

from blemish.nn.whitening import SHRINKAGE, Moments, Whitening


def rows(count: int = 4000) -> torch.Tensor:
    """Correlated rows about (1, 2, 3), whose three directions spread by 3, 1 and 0.001."""
    random = np.random.default_rng(0)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    spread = random.normal(size=(count, 3)) * [3, 1, 0.001]
    return torch.from_numpy(spread @ turn.T + [1, 2, 3]).float()


def learnt(points: torch.Tensor) -> Whitening:
    moments = Moments(3, torch.device("cpu"))
    for part in points.split(700):
        moments.add(part)
    whitening = Whitening(3)
    whitening.learn(moments)
    return whitening


def test_moments_of_parts_are_those_of_the_whole() -> None:
    points = rows()
    moments = Moments(3, torch.device("cpu"))
    for part in points.split(999):
        moments.add(part)
    assert moments.mean.tolist() == pytest.approx(points.double().mean(dim=0).tolist())
    assert torch.allclose(moments.covariance, torch.cov(points.double().T), atol=1e-9)


def test_wide_directions_become_alike_and_narrow_ones_stay_narrow() -> None:
    points = rows()
    white = learnt(points)(points)
    assert white.mean(dim=0).abs().max() < 1e-3
    spread = torch.linalg.eigvalsh(torch.cov(white.T)).flip(0)
    mean = (9 + 1 + 1e-6) / 3
    wanted = [part / (part + SHRINKAGE * mean) for part in (9, 1, 1e-6)]
    assert spread.tolist() == pytest.approx(wanted, abs=0.03)


def test_until_it_has_learnt_nothing_changes() -> None:
    points = rows(10)
    assert torch.equal(Whitening(3)(points), points)


def test_features_without_any_spread_stay_finite() -> None:
    same = torch.ones(50, 3)
    assert learnt(same)(same).isfinite().all()
