"""GLASS §7, §8 and §21 items 4 and 5: ascent, projections, BatchNorm, one whole training step."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.nn.ascent import Ascent, clip_length, gradient_ascent, hypersphere_radius, push_out
from blemish.nn.heads import Adaptor, Discriminator
from blemish.nn.losses import anomalous_loss, normal_loss, synthesis_loss

DIM, HIDDEN, ROWS = 24, 16, 60
BAND = (0.5, 1.0)


class Batch:
    """Frozen features of normal and synthetic images, a centre, noise, and fresh modules."""

    def __init__(self, noise: float = 0.015, seed: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        draw = partial(torch.randn, dtype=torch.float64, generator=generator)
        spread = 0.2 + 4 * torch.rand(ROWS, 1, dtype=torch.float64, generator=generator) ** 4
        self.normal = spread * draw(ROWS, DIM)
        self.synthetic = self.normal + 0.3 * draw(ROWS, DIM)
        self.anomalous = torch.rand(ROWS, generator=generator) < 0.3
        self.noise = noise * draw(ROWS, DIM)
        self.adaptor = Adaptor(DIM, generator=generator).double()
        self.discriminator = Discriminator(DIM, HIDDEN, generator=generator).double()
        mean = self.adaptor(self.normal.mean(dim=0)).detach()
        self.center = mean + 0.1 * draw(ROWS, DIM)  # one a grid position, so it differs by row

    def radius(self) -> Tensor:
        u, f = self.adaptor(self.normal), self.adaptor(self.synthetic)
        return hypersphere_radius(u, f, self.anomalous, self.center)


def training_step(batch: Batch, hypersphere: bool, band: tuple[float, float] = BAND):
    """One forward and backward pass as a training loop writes it."""
    u, f = batch.adaptor(batch.normal), batch.adaptor(batch.synthetic)
    if hypersphere:
        r = hypersphere_radius(u, f, batch.anomalous, batch.center)
        f = push_out(f, batch.anomalous, batch.center, 2 * r, 4 * r)
        project, center = partial(clip_length, low=r, high=2 * r), batch.center
    else:
        project, center = partial(clip_length, low=band[0], high=band[1]), None
    g = gradient_ascent(batch.discriminator, u, batch.noise, Ascent(), project, center)
    logits = batch.discriminator(torch.cat([u, g]))
    loss = normal_loss(logits[:ROWS]) + anomalous_loss(logits[ROWS:])
    loss = loss + synthesis_loss(batch.discriminator.scores(f), batch.anomalous)
    loss.backward()
    return loss.detach(), g.detach(), f.detach()


def literal_step(batch: Batch, hypersphere: bool, band: tuple[float, float] = BAND):
    """The same step written out word by word from the specification, on scores."""
    adaptor, discriminator, c = batch.adaptor, batch.discriminator, batch.center
    u, f = adaptor(batch.normal), adaptor(batch.synthetic)
    masked = batch.anomalous

    def score(rows: Tensor) -> Tensor:
        return torch.sigmoid(discriminator.tail(discriminator.hidden(rows)))[:, 0]

    def clip_around(point: Tensor, rows: Tensor, low: Tensor | float, high: Tensor | float):
        h = rows - point
        length = h.pow(2).sum(dim=1, keepdim=True).sqrt()
        return point + torch.clamp(torch.clamp(length, min=low), max=high) / (length + 1e-10) * h

    distances = torch.cat([(u - c).norm(dim=1), (f - c)[~masked].norm(dim=1)])
    r = torch.quantile(distances.detach(), 0.75)
    ones, zeros = torch.ones(ROWS, dtype=u.dtype), torch.zeros(ROWS, dtype=u.dtype)
    g = u + batch.noise
    for k in range(20):
        loss = F.binary_cross_entropy(score(torch.cat([u, g]))[ROWS:], ones)
        (slope,) = torch.autograd.grad(loss, g, retain_graph=True)
        g = g + (0.001 * slope / (slope.norm(dim=1, keepdim=True) + 1e-10)).detach()
        if k + 1 in (5, 10, 15, 20):
            g = clip_around(c, g, r, 2 * r) if hypersphere else clip_around(u, g, *band)
    if hypersphere:
        f = torch.where(masked[:, None], clip_around(c, f, 2 * r, 4 * r), f)
    scores = score(torch.cat([u, g]))
    total = F.binary_cross_entropy(scores[:ROWS], zeros)
    total = total + F.binary_cross_entropy(scores[ROWS:], ones)
    scores = score(f)
    error = (scores - masked.double()).pow(2).detach()
    keep = error >= torch.quantile(error, 0.5)
    target = masked.double().clamp(1e-5, 1 - 1e-5)
    pt = ((1 - target) * (1 - scores) + target * scores + 1e-5)[keep]
    total = total + (-((1 - pt) ** 2) * pt.log()).mean()
    total.backward()
    return total.detach(), g.detach(), f.detach()


def assert_same_step(noise: float, hypersphere: bool) -> None:
    ours, literal = Batch(noise), Batch(noise)
    for value, expected in zip(
        training_step(ours, hypersphere), literal_step(literal, hypersphere), strict=True
    ):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
    for name in ("adaptor", "discriminator"):
        mine, theirs = getattr(ours, name), getattr(literal, name)
        expected_gradients = dict(theirs.named_parameters())
        for key, parameter in mine.named_parameters():
            expected = expected_gradients[key].grad
            torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=1e-12)
        for key, buffer in mine.named_buffers():
            torch.testing.assert_close(
                buffer, dict(theirs.named_buffers())[key], rtol=0, atol=1e-12
            )
    assert ours.discriminator.hidden[1].num_batches_tracked.item() == 22


# At 24 dimensions the noise has length σ·√24: below, inside and above the band [0.5, 1].
@pytest.mark.parametrize("noise", [0.015, 0.15, 0.5], ids=["lower", "inactive", "upper"])
def test_manifold_step_equals_the_literal_one(noise: float) -> None:
    length = Batch(noise).noise.norm(dim=1)
    inside = (length > BAND[0]) & (length < BAND[1])
    assert inside.double().mean() > 0.8 if noise == 0.15 else not inside.any()
    assert_same_step(noise, hypersphere=False)


def test_hypersphere_step_equals_the_literal_one() -> None:
    batch = Batch()
    distance = (batch.adaptor(batch.normal) + batch.noise - batch.center).norm(dim=1)
    r = batch.radius()
    shares = [(distance < r).sum(), (distance > 2 * r).sum()]
    assert min(shares) >= 3  # both clamps are at work, and some rows are free
    assert sum(shares) <= ROWS - 3
    assert_same_step(0.015, hypersphere=True)


def test_gradient_passes_through_the_hypersphere_projections() -> None:
    batch = Batch()
    u, r = batch.adaptor(batch.normal), batch.radius()
    project = partial(clip_length, low=r, high=2 * r)
    g = gradient_ascent(batch.discriminator, u, batch.noise, Ascent(), project, batch.center)
    weights = torch.randn(g.shape, dtype=g.dtype, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((g * weights).sum(), u)
    # A detached projection would leave `weights` as they are.
    assert (gradient - weights).norm() / weights.norm() > 0.05


def test_on_the_manifold_g_is_u_plus_a_constant() -> None:
    batch = Batch()  # the lower clamp is active
    u = batch.adaptor(batch.normal)
    project = partial(clip_length, low=0.5, high=1.0)
    g = gradient_ascent(batch.discriminator, u, batch.noise, Ascent(), project)
    weights = torch.randn(g.shape, dtype=g.dtype, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((g * weights).sum(), u)
    assert torch.equal(gradient, weights)


def test_hypersphere_rows_end_in_their_shells() -> None:
    batch = Batch()
    r = batch.radius()
    _, g, f = training_step(batch, hypersphere=True)
    distance = (g - batch.center).norm(dim=1) / r
    assert distance.min() > 1 - 1e-9
    assert distance.max() < 2 + 1e-9
    moved = (f - batch.center)[batch.anomalous].norm(dim=1) / r
    assert moved.min() > 2 - 1e-9
    assert moved.max() < 4 + 1e-9
    untouched = batch.adaptor(batch.synthetic)[~batch.anomalous]
    assert torch.equal(f[~batch.anomalous], untouched)


@pytest.mark.parametrize("quantile", [0.5, 0.75, 1.0])
def test_radius_is_the_quantile_of_normal_rows_and_unmasked_synthetic_rows(quantile) -> None:
    batch = Batch()
    u, f = batch.adaptor(batch.normal), batch.adaptor(batch.synthetic)
    r = hypersphere_radius(u, f, batch.anomalous, batch.center, quantile)
    outside = (f - batch.center)[~batch.anomalous]
    distance = torch.cat([u - batch.center, outside]).norm(dim=1)
    expected = torch.quantile(distance, quantile)
    assert r.item() == pytest.approx(expected.item(), abs=1e-14)
    assert not r.requires_grad


def test_published_noise_length_and_tiny_ascent_at_width_1536() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = 0.015 * torch.randn(2000, 1536, dtype=torch.float64, generator=generator)
    length = noise.norm(dim=1)
    assert length.mean().item() == pytest.approx(0.588, abs=1e-3)
    assert length.std().item() == pytest.approx(0.011, abs=1e-3)

    u = torch.randn(96, 1536, dtype=torch.float64, generator=generator)
    discriminator = Discriminator(1536, 64, generator=generator).double()
    climb = partial(gradient_ascent, discriminator, u, noise[:96], Ascent())
    g = climb(partial(clip_length, low=0.5, high=1.0))
    displacement = (g - u - noise[:96]).norm(dim=1)
    assert 0.01 < displacement.min() <= displacement.max() <= 0.02 + 1e-9
    # The projection changes nothing beyond the 1e-10 of its denominator.
    torch.testing.assert_close(g, climb(lambda offset: offset), rtol=0, atol=1e-9)


def test_aligned_gradients_move_twenty_full_steps_towards_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(12, dtype=torch.float64, generator=generator)
    u = torch.randn(8, 12, dtype=torch.float64, generator=generator)
    g = gradient_ascent(
        lambda rows: rows @ direction, u, torch.zeros_like(u), Ascent(), lambda h: h
    )
    expected = u - 0.02 * direction / direction.norm()
    torch.testing.assert_close(g, expected, rtol=0, atol=1e-8)


def test_ascent_makes_anomalies_look_more_normal() -> None:
    batch = Batch(0.15)
    u = batch.adaptor(batch.normal).detach()
    g = gradient_ascent(batch.discriminator, u, batch.noise, Ascent(), lambda offset: offset)

    def loss(rows: Tensor) -> float:
        return anomalous_loss(batch.discriminator(torch.cat([u, rows]))[ROWS:]).item()

    assert loss(g) > loss(u + batch.noise)


def test_ascent_calls_and_settings() -> None:
    batch = Batch()
    u = batch.adaptor(batch.normal)
    seen: list[int] = []

    def project(offset: Tensor) -> Tensor:
        seen.append(batch.discriminator.hidden[1].num_batches_tracked.item())
        return offset

    gradient_ascent(batch.discriminator, u, batch.noise, Ascent(), project)
    assert seen == [5, 10, 15, 20]
    assert batch.discriminator.hidden[1].num_batches_tracked.item() == 20
    g = gradient_ascent(batch.discriminator, u, batch.noise, Ascent(steps=0), project)
    assert torch.equal(g, u + batch.noise)
    assert all(parameter.grad is None for parameter in batch.discriminator.parameters())


def test_clip_length_of_short_inner_long_and_zero_rows() -> None:
    rows = torch.tensor([[0.3, 0.4], [0.6, 0.0], [3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    rows[0] /= 5
    rows.requires_grad_()
    clipped = clip_length(rows, 0.5, 1.0)
    assert clipped.norm(dim=1).tolist() == pytest.approx([0.5, 0.6, 1.0, 0.0], abs=1e-8)
    clipped.sum().backward()
    assert rows.grad.isfinite().all()
