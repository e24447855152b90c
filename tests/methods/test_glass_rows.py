"""What noise, ascent and projections do to rows of features: `docs/spec/glass.md` §§7–8, §21."""

from functools import partial

import pytest
import torch
from torch import Tensor

from blemish.methods.glass.ascent import (
    band,
    hypersphere_ascent,
    manifold_ascent,
    project,
    push_out,
)
from blemish.methods.glass.heads import Discriminator
from blemish.methods.glass.hidden_ascent import Ascent
from blemish.methods.glass.losses import anomalous_loss
from tests.glass import ROWS, Batch, offsets

BAND = (0.5, 1.0)


def test_gradient_passes_through_the_hypersphere_projections() -> None:
    batch = Batch()
    u, r = batch.adaptor(batch.normal), batch.radius()
    projection = band(r, 2 * r)
    g = hypersphere_ascent(batch.discriminator, u, batch.noise, batch.center, Ascent(), projection)
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


def test_hypersphere_rows_end_in_their_bands() -> None:
    batch = Batch()
    r, u = batch.radius(), batch.adaptor(batch.normal)
    projection = band(r, 2 * r)
    g = hypersphere_ascent(batch.discriminator, u, batch.noise, batch.center, Ascent(), projection)
    distance = (g - batch.centers).norm(dim=1) / r
    assert distance.min() > 1 - 1e-9
    assert distance.max() < 2 + 1e-9
    plain = batch.adaptor(batch.synthetic)
    f = push_out(plain, batch.anomalous, batch.centers, band(2 * r, 4 * r))
    moved = (f - batch.centers)[batch.anomalous].norm(dim=1) / r
    assert moved.min() > 2 - 1e-9
    assert moved.max() < 4 + 1e-9
    assert torch.equal(f[~batch.anomalous], plain[~batch.anomalous])


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

    def projection(lengths: Tensor) -> Tensor:
        seen.append(batch.discriminator.norm.num_batches_tracked.item())
        return lengths

    offsets(batch.discriminator, u, batch.noise, Ascent(), projection)
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
