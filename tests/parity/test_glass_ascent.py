"""One step in hidden space equals that of the plain form: `docs/spec/glass.md` §7, §8, §20.

With it go the two changes of DLAS-Net, a step that grows with the gradient and a projection that
follows from all rows (`docs/spec/dlas-net.md` §3).
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.methods.dlas.params import Params as DlasParams
from blemish.methods.dlas.plain import Plain as DlasPlain
from blemish.methods.dlas.projection import adaptive_projection
from blemish.methods.glass.ascent import (
    band,
    hypersphere_ascent,
    hypersphere_radius,
    manifold_ascent,
    push_out,
)
from blemish.methods.glass.heads import composed
from blemish.methods.glass.hidden_ascent import BLOCK, Ascent, Projection
from blemish.methods.glass.losses import anomalous_loss, normal_loss, synthesis_loss
from blemish.methods.glass.params import Params
from blemish.methods.glass.plain import Plain, radius
from tests.glass import DIM, HIDDEN, ROWS, Batch

SIZES = {"target_dim": DIM, "hidden": HIDDEN}
BAND = (0.5, 1.0)
assert BLOCK < ROWS < 2 * BLOCK  # one whole block and a part


def fast_step(batch: Batch, p: Params, hypersphere: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, z(g) and z(f) of one forward and backward pass as a training loop writes it."""
    d = batch.discriminator
    ascent = Ascent(p.ascent_steps, p.ascent_length, p.project_every, getattr(p, "ascent_gain", 0))
    if hypersphere:
        u, f = batch.adaptor(batch.normal), batch.adaptor(batch.synthetic)
        r = hypersphere_radius(u, f, batch.anomalous, batch.centers)
        f = push_out(f, batch.anomalous, batch.centers, band(2 * r, 4 * r))
        projection = fast_projection(p, (r, 2 * r))
        g = hypersphere_ascent(d, u, batch.noise, batch.center, ascent, projection)
        u, g, f = d.first(u), d.first(g), d.first(f)
    else:
        first = composed(batch.adaptor, d)
        u, f = (F.linear(rows, *first) for rows in (batch.normal, batch.synthetic))
        g = manifold_ascent(d, u, batch.noise, ascent, fast_projection(p, BAND))
    logits = d.after_first(torch.cat([u, g]))
    loss = normal_loss(logits[:ROWS]) + anomalous_loss(logits[ROWS:])
    loss = loss + synthesis_loss(torch.sigmoid(d.after_first(f)), batch.anomalous)
    loss.backward()
    return loss.detach(), g.detach(), f.detach()


def fast_projection(p: Params, bounds: tuple[Any, Any]) -> Projection:
    return adaptive_projection() if getattr(p, "shell", "band") == "adaptive" else band(*bounds)


def plain_step(plain: Plain, batch: Batch, hypersphere: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The same of the plain form."""
    c = batch.centers if hypersphere else None
    given = batch.normal, batch.synthetic, batch.anomalous, batch.noise, c
    statistics = {name: value.clone() for name, value in plain.named_buffers()}
    _, g, f = plain.synthesise(*given)
    plain.load_state_dict(plain.state_dict() | statistics)  # as if that had not been
    loss = torch.stack(list(plain.losses(*given).values())).sum()
    loss.backward()
    return loss.detach(), *(plain.discriminator[0](rows).detach() for rows in (g, f))


def assert_same_step(noise: float, hypersphere: bool, p: Params | None = None) -> None:
    batch, p = Batch(noise), p or Params(**SIZES)
    form = DlasPlain(p) if isinstance(p, DlasParams) else Plain(p)
    plain = form.with_weights(batch.adaptor, batch.discriminator)
    expected = plain_step(plain, batch, hypersphere)
    for value, other in zip(fast_step(batch, p, hypersphere), expected, strict=True):
        torch.testing.assert_close(value, other, rtol=0, atol=1e-12)
    ours = torch.nn.ModuleList([batch.adaptor, batch.discriminator])
    for (name, mine), theirs in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-12)
        # BatchNorm takes constants away: the gradients of biases before it may vanish.
        assert name.endswith("bias") or mine.grad.abs().max() > 1e-4
    for mine, theirs in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    assert batch.discriminator.norm.num_batches_tracked.item() == p.ascent_steps + 2


# At 24 dimensions the noise has length σ·√24: below, inside and above the band [0.5, 1].
@pytest.mark.parametrize("noise", [0.015, 0.15, 0.5], ids=["lower", "inactive", "upper"])
def test_manifold_step_equals_the_plain_step(noise: float) -> None:
    length = Batch(noise).noise.norm(dim=1)
    inside = (length > BAND[0]) & (length < BAND[1])
    assert inside.double().mean() > 0.8 if noise == 0.15 else inside.sum() < 3
    assert_same_step(noise, hypersphere=False)


def test_hypersphere_step_equals_the_plain_step() -> None:
    batch = Batch()
    distance = (batch.adaptor(batch.normal) + batch.noise - batch.centers).norm(dim=1)
    r = batch.radius()
    shares = [(distance < r).sum(), (distance > 2 * r).sum()]
    assert min(shares) >= 3  # both clamps are at work, and some rows are free
    assert sum(shares) <= ROWS - 3
    assert_same_step(0.015, hypersphere=True)


LONG = 0.3  # steps that turn the gradient


@pytest.mark.parametrize("hypersphere", [False, True])
@pytest.mark.parametrize(
    "p",
    [
        Params(**SIZES, ascent_length=LONG),
        Params(**SIZES, ascent_steps=7, ascent_length=0.1, project_every=3),
        Params(**SIZES, ascent_steps=2, ascent_length=0.1),
        Params(**SIZES, ascent_steps=0),
        DlasParams(**SIZES, ascent_length=0.01, ascent_gain=300.0, shell="band"),
        DlasParams(**SIZES, ascent_length=LONG, ascent_gain=0.0, shell="adaptive"),
    ],
    ids=["long", "rest without projection", "no projection", "no step", "gain", "adaptive"],
)
def test_any_settings_equal_the_plain_step(p: Params, hypersphere: bool) -> None:
    assert_same_step(0.15, hypersphere, p)


def test_single_precision_stays_within_rounding() -> None:
    exact, single = Batch(0.15), Batch(0.15)
    for module in (single.adaptor, single.discriminator):
        module.float()
    for name in ("normal", "synthetic", "noise"):
        setattr(single, name, getattr(single, name).float())
    loss, g, _ = fast_step(exact, Params(**SIZES), False)
    single_loss, single_g, _ = fast_step(single, Params(**SIZES), False)
    assert single_loss.item() == pytest.approx(loss.item(), abs=1e-5)
    torch.testing.assert_close(single_g.double(), g, rtol=0, atol=2e-5)


@pytest.mark.parametrize("quantile", [0.5, 0.75, 1.0])
def test_radius_is_the_quantile_of_normal_rows_and_unmasked_synthetic_rows(quantile) -> None:
    batch = Batch()
    u, f = batch.adaptor(batch.normal), batch.adaptor(batch.synthetic)
    r = hypersphere_radius(u, f, batch.anomalous, batch.centers, quantile)
    expected = radius(u, f, batch.anomalous, batch.centers, quantile)
    assert r.item() == pytest.approx(expected.item(), abs=1e-14)
    assert not r.requires_grad
