"""DSARAD §4 and §12: every loss's vector in float64, and its plain form."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

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


def plain_ssim(r: Tensor, x: Tensor, rounded: bool = False) -> Tensor:
    """Two-dimensional window, depthwise, the range tested on the host.

    rounded: the window's weights through float32, as published, whatever the images' precision.
    """
    weights = [math.exp(-((k - 5) ** 2) / (2 * 1.5**2)) for k in range(11)]
    line = torch.tensor(weights, dtype=r.dtype)
    line = line / line.sum()
    window = torch.outer(line, line).expand(r.shape[1], 1, 11, 11)
    window = window.float().to(r.dtype) if rounded else window

    def blur(one: Tensor) -> Tensor:
        return F.conv2d(one, window, padding=5, groups=one.shape[1])

    length = (255 if r.max() > 128 else 1) - (-1 if r.min() < -0.5 else 0)
    c1, c2 = (0.01 * length) ** 2, (0.03 * length) ** 2
    mr, mx = blur(r), blur(x)
    vr, vx, cov = blur(r * r) - mr**2, blur(x * x) - mx**2, blur(r * x) - mr * mx
    ssim = (2 * mr * mx + c1) * (2 * cov + c2) / ((mr**2 + mx**2 + c1) * (vr + vx + c2))
    return 1 - ssim.mean()


def test_squared_error_vector() -> None:
    assert F.mse_loss(B, A).item() == pytest.approx(0.2669732008735, abs=5e-14)


@pytest.mark.parametrize(
    ("shift", "length", "expected"), [(0, 1, 0.9086565986182), (-1.2, 2, 1.0599948287940)]
)
def test_ssim_vectors(shift: float, length: float, expected: float) -> None:
    r = B + shift
    assert dynamic_range(r).item() == length
    # The vectors hold the rounding of the published window; ours is not rounded.
    assert plain_ssim(r, A, rounded=True).item() == pytest.approx(expected, abs=1e-13)
    assert ssim_loss(r, A).item() == pytest.approx(plain_ssim(r, A).item(), rel=1e-12)
    assert ssim_loss(r, A).item() == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (7, 64)])
@pytest.mark.parametrize(("shift", "factor"), [(0, 1), (-1.2, 1), (0, 200), (-1.2, 200)])
def test_ssim_equals_the_plain_one(size: tuple[int, int], shift: float, factor: float) -> None:
    x = A[:, :, : size[0], : size[1]]
    given = [
        ((B[:, :, : size[0], : size[1]] + shift) * factor).clone().requires_grad_()
        for _ in range(2)
    ]
    found, wanted = ssim_loss(given[0], x), plain_ssim(given[1], x)
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


def plain_focal(p: Tensor, m: Tensor) -> Tensor:
    """Published form: a smoothed one-hot target; p: probabilities (B, 2, H, W), m: (B, H, W)."""
    one_hot = F.one_hot(m.long(), 2).movedim(-1, 1).to(p.dtype).clamp(1e-5, 1 - 1e-5)
    pt = (one_hot * p).sum(dim=1) + 1e-5
    return (-((1 - pt) ** 2) * pt.log()).mean()


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
    assert found.item() == pytest.approx(plain_focal(both, m).item(), rel=1e-12)


def features(n: int) -> Tensor:
    return waves(1.3, 0.9, 0.07, 0.11, (2, 4 * (n + 1), 16 // 2**n, 16 // 2**n))


def plain_distillation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    total = 0
    for s, t in zip(student, teacher, strict=True):
        total = total + (1 - F.cosine_similarity(s.flatten(1), t.flatten(1))).mean()
        total = total + 0.05 * F.mse_loss(s, t)
    return total


def test_distillation_vector_and_plain_form() -> None:
    student = [features(n).requires_grad_() for n in range(4)]
    teacher = [0.7 * torch.cos(1.1 * features(n)) + 0.1 for n in range(4)]
    found = distillation_loss(student, teacher)
    assert found.item() == pytest.approx(3.99741719083, abs=5e-11)
    plain = plain_distillation(student, teacher)
    assert found.item() == pytest.approx(plain.item(), rel=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(found, student), torch.autograd.grad(plain, student), strict=True
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
