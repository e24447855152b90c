"""GLASS's losses, `docs/spec/glass.md` §9: focal reference values, hard rows, cross-entropy."""

import pytest
import torch
import torch.nn.functional as F

from blemish.methods.glass import plain
from blemish.methods.glass.losses import (
    anomalous_loss,
    focal,
    hard_rows,
    normal_loss,
    synthesis_loss,
)


def draw(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, dtype=torch.float64, generator=generator)
    anomalous = torch.rand(count, generator=generator) < 0.14
    return scores, anomalous


@pytest.mark.parametrize(
    ("label", "score", "expected"),
    [
        (1, 0.9, 1.05354079e-3),
        (1, 0.1, 1.86487354),
        (1, 0.5, 0.173274864),
        (0, 0.5, 0.173274864),
        (0, 1.0, 10.8193455),
    ],
)
def test_focal_reference_values(label: int, score: float, expected: float) -> None:
    value = focal(torch.tensor([score], dtype=torch.float64), torch.tensor([label]))
    assert value.item() == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("label", [0, 1])
def test_focal_of_a_perfect_score_is_zero(label: int) -> None:
    assert focal(torch.tensor([float(label)]), torch.tensor([label])).item() == pytest.approx(0)


def test_focal_of_whole_maps_as_dsarad_uses_it() -> None:
    i, j = torch.meshgrid(*[torch.arange(64, dtype=torch.float64)] * 2, indexing="ij")
    anomalous = torch.sin(0.2 * i) * torch.cos(0.3 * j) > 0.3
    scores = 0.5 + 0.49 * torch.sin(0.13 * i - 0.17 * j)
    assert anomalous.double().mean().item() == 0.28125
    assert focal(scores, anomalous).mean().item() == pytest.approx(0.85376862, abs=5e-9)


@pytest.mark.parametrize("count", [1, 2, 7, 1296, 1297])
def test_hard_rows_are_at_least_half_and_the_worst(count: int) -> None:
    scores, anomalous = draw(count)
    hard = hard_rows(scores, anomalous)
    error = (scores - anomalous.double()) ** 2
    assert hard.sum() == (count + 1) // 2
    assert count == 1 or error[hard].min() >= error[~hard].max()


def test_quantile_zero_keeps_all_rows_and_ties_are_kept_together() -> None:
    scores, anomalous = draw(100)
    assert hard_rows(scores, anomalous, 0.0).all()
    assert hard_rows(torch.full((10,), 0.3), torch.zeros(10, dtype=torch.bool)).all()


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.8])
def test_synthesis_loss_and_its_gradient_equal_the_plain_selection(quantile: float) -> None:
    scores, anomalous = draw(501)
    losses, gradients = [], []
    for loss_of in (synthesis_loss, plain.local_loss):
        given = scores.clone().requires_grad_()
        loss = loss_of(given, anomalous, quantile)
        loss.backward()
        losses.append(loss.item())
        gradients.append(given.grad)
    assert losses[0] == pytest.approx(losses[1], abs=1e-14)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-11, atol=1e-14)


def test_cross_entropies_equal_those_of_the_scores() -> None:
    logits = 4 * torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores = torch.sigmoid(logits)
    for loss, target in ((normal_loss, 0.0), (anomalous_loss, 1.0)):
        expected = F.binary_cross_entropy(scores, torch.full_like(scores, target))
        assert loss(logits).item() == pytest.approx(expected.item(), abs=1e-13)


def test_a_saturated_score_keeps_its_gradient() -> None:
    logits = torch.tensor([40.0], requires_grad=True)
    assert torch.sigmoid(logits).item() == 1
    normal_loss(logits).backward()
    assert logits.grad.item() == pytest.approx(1)
