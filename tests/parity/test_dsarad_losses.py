"""DSARAD's losses, `docs/spec/dsarad.md` §4 and §12: vectors in float64, and plain forms."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.methods.dsarad import plain
from blemish.methods.dsarad.losses import distillation_loss, dynamic_range, ssim_loss
from blemish.methods.glass.losses import focal
from blemish.synthesis.perlin import straight_field


def waves(b: float, c: float, i: float, j: float, shape: tuple[int, ...]) -> Tensor:
    """sin(b·batch + c·channel + i·row + j·column)."""
    axes = zip((b, c, i, j), shape, strict=True)
    phases = torch.meshgrid(
        *(step * torch.arange(n, dtype=torch.float64) for step, n in axes), indexing="ij"
    )
    return torch.sin(sum(phases))


A = 0.5 + 0.5 * waves(1.3, 0.9, 0.07, 0.11, (2, 3, 64, 64))
B = 0.5 + 0.45 * waves(0.8, 0.4, 0.09, 0.05, (2, 3, 64, 64))


def test_squared_error_vector() -> None:
    assert F.mse_loss(B, A).item() == pytest.approx(0.2669732008735, abs=5e-14)


@pytest.mark.parametrize(
    ("shift", "length", "expected"), [(0, 1, 0.9086565986182), (-1.2, 2, 1.0599948287940)]
)
def test_ssim_vectors(shift: float, length: float, expected: float) -> None:
    r = B + shift
    assert dynamic_range(r).item() == length
    # The vectors hold the rounding of the published window; ours is not rounded.
    assert plain.ssim_loss(r, A, rounded=True).item() == pytest.approx(expected, abs=1e-13)
    assert ssim_loss(r, A).item() == pytest.approx(plain.ssim_loss(r, A).item(), rel=1e-12)
    assert ssim_loss(r, A).item() == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (7, 64)])
@pytest.mark.parametrize(("shift", "factor"), [(0, 1), (-1.2, 1), (0, 200), (-1.2, 200)])
def test_ssim_equals_the_plain_one(size: tuple[int, int], shift: float, factor: float) -> None:
    x = A[:, :, : size[0], : size[1]]
    given = [
        ((B[:, :, : size[0], : size[1]] + shift) * factor).clone().requires_grad_()
        for _ in range(2)
    ]
    found, wanted = ssim_loss(given[0], x), plain.ssim_loss(given[1], x)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-9)
    torch.autograd.backward([found, wanted])
    torch.testing.assert_close(given[0].grad, given[1].grad, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "length"), [(0.0, 1), (-0.5, 1), (-0.51, 2), (128.0, 1), (129.0, 255)]
)
def test_dynamic_range_depends_on_the_reconstruction_alone(value: float, length: float) -> None:
    r = torch.full((1, 3, 8, 8), 0.5)
    r[0, 1, 2, 3] = value
    assert dynamic_range(r).item() == length


def focal_input() -> tuple[Tensor, Tensor]:
    i, j = (torch.arange(64, dtype=torch.float64) for _ in range(2))
    m = torch.sin(0.2 * i)[:, None] * torch.cos(0.3 * j) > 0.3
    p = 0.5 + 0.49 * torch.sin(0.13 * i[:, None] - 0.17 * j)
    return p.expand(2, -1, -1), m.expand(2, -1, -1)


def test_focal_vector_and_plain_form() -> None:
    p, m = focal_input()
    assert m.double().mean().item() == 0.28125
    found = focal(p, m).mean()
    assert found.item() == pytest.approx(0.85376862, abs=5e-9)
    both = torch.stack((1 - p, p), dim=1)
    assert found.item() == pytest.approx(plain.focal(both, m).item(), rel=1e-12)


def features(n: int) -> Tensor:
    return waves(1.3, 0.9, 0.07, 0.11, (2, 4 * (n + 1), 16 // 2**n, 16 // 2**n))


def test_distillation_vector_and_plain_form() -> None:
    student = [features(n).requires_grad_() for n in range(4)]
    teacher = [0.7 * torch.cos(1.1 * features(n)) + 0.1 for n in range(4)]
    found = distillation_loss(student, teacher)
    assert found.item() == pytest.approx(3.99741719083, abs=5e-11)
    expected = plain.distillation(student, teacher)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(found, student), torch.autograd.grad(expected, student), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-15)


def test_perlin_vector() -> None:
    nodes = torch.arange(33, dtype=torch.float64)
    angles = 2 * math.pi * ((0.37 * nodes[:, None] + 0.61 * nodes) % 1)
    # The vector's gradients are (cos, sin) down and right, ours (sin, cos): as uniform in angle.
    ours = (math.pi / 2 - angles)[None]
    field = straight_field(torch.tensor([[4.0, 2.0]]), ours, 64, 64)[0]
    found = [field.mean(), field.std(correction=0), field.min(), field.max()]
    wanted = [-0.00220415456, 0.34610063722, -0.70163647018, 0.68753026299]
    assert [float(one) for one in found] == pytest.approx(wanted, abs=1e-11)
    assert field[5, 9].item() == pytest.approx(0.47412057741, abs=1e-11)
    assert field[63, 63].item() == pytest.approx(0.06785886771, abs=1e-11)
    assert field[0, 0] == 0
    assert (field > 0.5).double().mean().item() == 0.072509765625
