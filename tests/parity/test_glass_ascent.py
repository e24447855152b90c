"""GLASS §7, §8, §20 and §21 items 4 and 5: one whole step in hidden space equals the literal one.

The literal forms are here alone: discriminator and adaptor on rows of features, autograd for the
ascent, an offset that is clipped row by row.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.methods.glass.ascent import (
    band,
    hypersphere_ascent,
    hypersphere_radius,
    manifold_ascent,
    project,
    push_out,
)
from blemish.methods.glass.heads import Adaptor, Discriminator, composed
from blemish.methods.glass.hidden_ascent import BLOCK, Ascent, Projection, ascend
from blemish.methods.glass.losses import anomalous_loss, normal_loss, synthesis_loss

DIM, HIDDEN, CELLS, IMAGES = 24, 16, 75, 4
ROWS = CELLS * IMAGES
BAND = (0.5, 1.0)
assert BLOCK < ROWS < 2 * BLOCK  # one whole block and a part


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
        norm = self.discriminator.norm  # as after some training
        norm.weight.data = 1 + 0.3 * draw(HIDDEN)
        norm.bias.data = 0.3 * draw(HIDDEN)
        mean = self.adaptor(self.normal.mean(dim=0)).detach()
        self.center = mean + 0.1 * draw(CELLS, DIM)  # one a grid position
        self.centers = self.center.repeat(IMAGES, 1)

    def radius(self) -> Tensor:
        u, f = self.adaptor(self.normal), self.adaptor(self.synthetic)
        return hypersphere_radius(u, f, self.anomalous, self.centers)


def ours(batch: Batch, hypersphere: bool, ascent: Ascent, shell: Projection | None = None):
    """Loss, z(g) and z(f) of one forward and backward pass as a training loop writes it."""
    d = batch.discriminator
    if hypersphere:
        u, f = batch.adaptor(batch.normal), batch.adaptor(batch.synthetic)
        r = hypersphere_radius(u, f, batch.anomalous, batch.centers)
        f = push_out(f, batch.anomalous, batch.centers, band(2 * r, 4 * r))
        around = shell or band(r, 2 * r)
        g = hypersphere_ascent(d, u, batch.noise, batch.center, ascent, around)
        u, g, f = d.first(u), d.first(g), d.first(f)
    else:
        first = composed(batch.adaptor, d)
        u, f = (F.linear(rows, *first) for rows in (batch.normal, batch.synthetic))
        g = manifold_ascent(d, u, batch.noise, ascent, shell or band(*BAND))
    logits = d.after_first(torch.cat([u, g]))
    loss = normal_loss(logits[:ROWS]) + anomalous_loss(logits[ROWS:])
    loss = loss + synthesis_loss(torch.sigmoid(d.after_first(f)), batch.anomalous)
    loss.backward()
    return loss.detach(), g.detach(), f.detach()


Clip = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def clip_around(point: Tensor, rows: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    h = rows - point
    length = h.pow(2).sum(dim=1, keepdim=True).sqrt()
    return point + torch.clamp(torch.clamp(length, min=low), max=high) / (length + 1e-10) * h


def literal(batch: Batch, hypersphere: bool, ascent: Ascent, clip: Clip | None = None):
    """The same step written out word by word from the specification, on scores."""
    adaptor, d, c = batch.adaptor, batch.discriminator, batch.centers
    u, f = adaptor(batch.normal), adaptor(batch.synthetic)
    masked = batch.anomalous

    def score(rows: Tensor) -> Tensor:
        z = F.linear(rows, d.first.weight, d.first.bias)
        return torch.sigmoid(F.leaky_relu(d.norm(z), 0.2) @ d.tail.weight[0])

    distances = torch.cat([(u - c).norm(dim=1), (f - c)[~masked].norm(dim=1)])
    r = torch.quantile(distances.detach(), 0.75)
    ones, zeros = torch.ones(ROWS, dtype=u.dtype), torch.zeros(ROWS, dtype=u.dtype)
    g = u + batch.noise
    for k in range(ascent.steps):
        loss = F.binary_cross_entropy(score(torch.cat([u, g]))[ROWS:], ones)
        (slope,) = torch.autograd.grad(loss, g, retain_graph=True)
        length = slope.norm(dim=1, keepdim=True)
        step = ascent.step_length * (1 + ascent.gain * length) * slope / (length + 1e-10)
        g = g + step.detach()
        if (k + 1) % ascent.project_every == 0:
            if clip is not None:
                g = clip(c if hypersphere else u, g, None)
            elif hypersphere:
                g = clip_around(c, g, r, 2 * r)
            else:
                g = clip_around(u, g, *BAND)
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
    return total.detach(), d.first(g).detach(), d.first(f).detach()


def assert_same_step(
    noise: float,
    hypersphere: bool,
    ascent: Ascent = Ascent(),  # noqa: B008 (frozen)
    shell: Projection | None = None,
    clip: Clip | None = None,
) -> None:
    mine, theirs = Batch(noise), Batch(noise)
    found = ours(mine, hypersphere, ascent, shell)
    for value, expected in zip(found, literal(theirs, hypersphere, ascent, clip), strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
    for name in ("adaptor", "discriminator"):
        module, plain = getattr(mine, name), getattr(theirs, name)
        gradients = {key: one.grad for key, one in plain.named_parameters()}
        for key, parameter in module.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[key], rtol=0, atol=1e-12)
            # BatchNorm takes constants away: the gradients of biases before it may vanish.
            assert key.endswith("bias") or parameter.grad.abs().max() > 1e-4
        for key, buffer in module.named_buffers():
            expected = dict(plain.named_buffers())[key]
            torch.testing.assert_close(buffer, expected, rtol=0, atol=1e-12)
    assert mine.discriminator.norm.num_batches_tracked.item() == ascent.steps + 2


# At 24 dimensions the noise has length σ·√24: below, inside and above the band [0.5, 1].
@pytest.mark.parametrize("noise", [0.015, 0.15, 0.5], ids=["lower", "inactive", "upper"])
def test_manifold_step_equals_the_literal_one(noise: float) -> None:
    length = Batch(noise).noise.norm(dim=1)
    inside = (length > BAND[0]) & (length < BAND[1])
    assert inside.double().mean() > 0.8 if noise == 0.15 else inside.sum() < 3
    assert_same_step(noise, hypersphere=False)


def test_hypersphere_step_equals_the_literal_one() -> None:
    batch = Batch()
    distance = (batch.adaptor(batch.normal) + batch.noise - batch.centers).norm(dim=1)
    r = batch.radius()
    shares = [(distance < r).sum(), (distance > 2 * r).sum()]
    assert min(shares) >= 3  # both clamps are at work, and some rows are free
    assert sum(shares) <= ROWS - 3
    assert_same_step(0.015, hypersphere=True)


LONG = Ascent(step_length=0.3)  # steps that turn what is climbed


@pytest.mark.parametrize("hypersphere", [False, True])
@pytest.mark.parametrize(
    "ascent",
    [
        LONG,
        Ascent(steps=7, step_length=0.1, project_every=3),  # a part that no projection ends
        Ascent(steps=2, step_length=0.1),  # no projection at all
        Ascent(steps=0),
        Ascent(step_length=0.01, gain=300.0),
    ],
    ids=["long", "rest", "unprojected", "none", "gain"],
)
def test_any_settings_equal_the_literal_step(ascent: Ascent, hypersphere: bool) -> None:
    assert_same_step(0.15, hypersphere, ascent)


def spread_shell(lengths: Tensor) -> Tensor:
    """As DLAS-Net's: the band follows from all lengths, and carries their gradient."""
    r = (lengths.mean() + 0.5 * lengths.std()).clamp(0.5, 1.0)
    return torch.minimum(torch.maximum(lengths, 0.8 * r), 1.2 * r)


@pytest.mark.parametrize("hypersphere", [False, True])
def test_a_shell_that_follows_from_all_rows_equals_the_literal_step(hypersphere: bool) -> None:
    def clip(point: Tensor, rows: Tensor, _: Tensor | None) -> Tensor:
        h = rows - point
        length = h.pow(2).sum(dim=1, keepdim=True).sqrt()
        r = (length.mean() + 0.5 * length.std()).clamp(0.5, 1.0)
        wanted = torch.minimum(torch.maximum(length, 0.8 * r), 1.2 * r)
        return point + wanted / (length + 1e-10) * h

    assert_same_step(0.15, hypersphere, LONG, spread_shell, clip)


def test_single_precision_stays_within_rounding() -> None:
    exact, single = Batch(0.15), Batch(0.15)
    for module in (single.adaptor, single.discriminator):
        module.float()
    for name in ("normal", "synthetic", "noise"):
        setattr(single, name, getattr(single, name).float())
    loss, g, _ = ours(exact, False, Ascent())
    single_loss, single_g, _ = ours(single, False, Ascent())
    assert single_loss.item() == pytest.approx(loss.item(), abs=1e-5)
    torch.testing.assert_close(single_g.double(), g, rtol=0, atol=2e-5)


def test_gradient_passes_through_the_hypersphere_projections() -> None:
    batch = Batch()
    u, r = batch.adaptor(batch.normal), batch.radius()
    shell = band(r, 2 * r)
    g = hypersphere_ascent(batch.discriminator, u, batch.noise, batch.center, Ascent(), shell)
    weights = torch.randn(g.shape, dtype=g.dtype, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((g * weights).sum(), u)
    # A detached projection would leave `weights` as they are.
    assert (gradient - weights).norm() / weights.norm() > 0.05


def test_on_the_manifold_g_is_u_plus_a_constant() -> None:
    batch = Batch()  # the lower clamp is active
    hidden = batch.discriminator.first(batch.adaptor(batch.normal))
    g = manifold_ascent(batch.discriminator, hidden, batch.noise, Ascent(), band(*BAND))
    weights = torch.randn(g.shape, dtype=g.dtype, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((g * weights).sum(), hidden)
    assert torch.equal(gradient, weights)


def test_hypersphere_rows_end_in_their_shells() -> None:
    batch = Batch()
    r, u = batch.radius(), batch.adaptor(batch.normal)
    shell = band(r, 2 * r)
    g = hypersphere_ascent(batch.discriminator, u, batch.noise, batch.center, Ascent(), shell)
    distance = (g - batch.centers).norm(dim=1) / r
    assert distance.min() > 1 - 1e-9
    assert distance.max() < 2 + 1e-9
    plain = batch.adaptor(batch.synthetic)
    f = push_out(plain, batch.anomalous, batch.centers, band(2 * r, 4 * r))
    moved = (f - batch.centers)[batch.anomalous].norm(dim=1) / r
    assert moved.min() > 2 - 1e-9
    assert moved.max() < 4 + 1e-9
    assert torch.equal(f[~batch.anomalous], plain[~batch.anomalous])


@pytest.mark.parametrize("quantile", [0.5, 0.75, 1.0])
def test_radius_is_the_quantile_of_normal_rows_and_unmasked_synthetic_rows(quantile) -> None:
    batch = Batch()
    u, f = batch.adaptor(batch.normal), batch.adaptor(batch.synthetic)
    r = hypersphere_radius(u, f, batch.anomalous, batch.centers, quantile)
    outside = (f - batch.centers)[~batch.anomalous]
    distance = torch.cat([u - batch.centers, outside]).norm(dim=1)
    expected = torch.quantile(distance, quantile)
    assert r.item() == pytest.approx(expected.item(), abs=1e-14)
    assert not r.requires_grad


def offsets(
    discriminator: Discriminator, u: Tensor, noise: Tensor, ascent: Ascent, shell: Projection
) -> Tensor:
    """g − u on the manifold, (N, C)."""
    z = discriminator.first(u).detach()
    start = z + noise @ discriminator.first.weight.T.detach()
    length = noise.norm(dim=1, keepdim=True)
    scale, steps = ascend(discriminator, z, z, start, length, ascent, shell).total()
    return scale * noise + steps @ discriminator.first.weight.detach()


def test_published_noise_length_and_tiny_ascent_at_width_1536() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = 0.015 * torch.randn(2000, 1536, dtype=torch.float64, generator=generator)
    length = noise.norm(dim=1)
    assert length.mean().item() == pytest.approx(0.588, abs=1e-3)
    assert length.std().item() == pytest.approx(0.011, abs=1e-3)

    u = torch.randn(96, 1536, dtype=torch.float64, generator=generator)
    discriminator = Discriminator(1536, 64, generator=generator).double()
    moved = partial(offsets, discriminator, u, noise[:96], Ascent())
    offset = moved(band(0.5, 1.0))
    displacement = (offset - noise[:96]).norm(dim=1)
    assert 0.01 < displacement.min() <= displacement.max() <= 0.02 + 1e-9
    # The projection changes nothing beyond the 1e-10 of its denominator.
    torch.testing.assert_close(offset, moved(lambda lengths: lengths), rtol=0, atol=1e-9)


def test_aligned_gradients_move_twenty_full_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    discriminator = Discriminator(12, 1, generator=generator).double()
    u = torch.randn(8, 12, dtype=torch.float64, generator=generator)
    # One hidden unit: every gradient lies along its weights.
    offset = offsets(discriminator, u, torch.zeros_like(u), Ascent(), lambda lengths: lengths)
    assert offset.norm(dim=1).tolist() == pytest.approx([0.02] * 8, abs=1e-6)


def test_ascent_makes_anomalies_look_more_normal() -> None:
    batch = Batch(0.15)
    u = batch.adaptor(batch.normal).detach()
    offset = offsets(batch.discriminator, u, batch.noise, Ascent(), lambda lengths: lengths)

    def loss(rows: Tensor) -> float:
        return anomalous_loss(batch.discriminator(torch.cat([u, rows]))[ROWS:]).item()

    assert loss(u + offset) > loss(u + batch.noise)


def test_projections_come_after_every_fifth_step() -> None:
    batch, seen = Batch(), []
    u = batch.adaptor(batch.normal)

    def shell(lengths: Tensor) -> Tensor:
        seen.append(batch.discriminator.norm.num_batches_tracked.item())
        return lengths

    offsets(batch.discriminator, u, batch.noise, Ascent(), shell)
    assert seen == [5, 10, 15, 20]
    assert batch.discriminator.norm.num_batches_tracked.item() == 20
    assert all(parameter.grad is None for parameter in batch.discriminator.parameters())


def test_project_short_inner_long_and_zero_rows() -> None:
    rows = torch.tensor([[0.3, 0.4], [0.6, 0.0], [3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    rows[0] /= 5
    rows.requires_grad_()
    clipped = project(rows, band(0.5, 1.0))
    assert clipped.norm(dim=1).tolist() == pytest.approx([0.5, 0.6, 1.0, 0.0], abs=1e-8)
    clipped.sum().backward()
    assert rows.grad.isfinite().all()
