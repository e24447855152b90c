"""`dlas_lcd`, `docs/spec/dlas-net.md` §8.2: coherent shifts, the active band, its switches."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage, stats
from torch import Tensor

from blemish.methods.dlas_lcd.coherent import (
    Spread,
    draw_directions,
    draw_lengths,
    draw_regions,
    spread_of,
)
from blemish.methods.dlas_lcd.params import Params
from blemish.methods.dlas_lcd.plain import coherent_loss
from blemish.methods.glass.ascent import band
from blemish.methods.glass.heads import Discriminator
from blemish.methods.glass.hidden_ascent import Ascent, Projection
from blemish.methods.glass.losses import anomalous_loss
from blemish.methods.glass.plain import Plain
from blemish.methods.trainer import trainer_of
from tests.glass import ascended
from tests.models import new

TINY: dict[str, Any] = {
    "backbone": "efficientnet_lite0", "weights": "random", "strides": [16], "image_size": 128,
    "pretrain_dim": 24, "target_dim": 16, "hidden": 12, "enlarge": 1.0, "coherent_directions": 4,
}  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_regions_are_connected_and_of_many_sizes() -> None:
    regions = draw_regions(2000, 12, 20, seeded()).numpy()
    parts = [ndimage.label(region, np.ones((3, 3)))[1] for region in regions]
    assert set(parts) == {1}
    area = regions.mean(axis=(1, 2))
    assert area.min() <= 5 / 240
    assert 0.05 < np.median(area) < 0.2
    assert area.max() > 0.5
    # No cell is left out, and none is favoured by more than the border costs.
    often = regions.mean(axis=0)
    assert 0.03 < often.min() < often.max() < 0.3


def test_the_spread_is_how_neighbours_differ() -> None:
    draw = torch.randn(6, 9, 9, 5, dtype=torch.float64, generator=seeded(1))
    cells = draw * torch.tensor([4.0, 2.0, 0.1, 0.1, 0.1], dtype=torch.float64)
    spread = spread_of(cells.split(4), 2)
    # Differences of independent cells have twice the variance, in the principal directions' order.
    assert spread.directions.norm(dim=1).tolist() == pytest.approx(
        [2 * 2**0.5, 4 * 2**0.5], rel=0.1
    )
    aligned = spread.directions.abs() / spread.directions.norm(dim=1, keepdim=True)
    assert aligned[0, 1] > 0.98
    assert aligned[1, 0] > 0.98
    distances = [(a - b).norm() for image in cells for row in image for a, b in pairwise(row)]
    distances += [
        (a - b).norm() for image in cells for row in image.movedim(1, 0) for a, b in pairwise(row)
    ]
    expected = np.quantile(torch.stack(distances).numpy(), 0.75)
    assert spread.distance.item() == pytest.approx(expected, rel=1e-3)
    assert len(spread_of([cells], 99).directions) == 5  # no more than there are


def test_shifts_lie_in_the_subspace_and_are_as_long_as_their_visibility() -> None:
    spread = Spread(torch.tensor(3.0), torch.diag(torch.tensor([3.0, 1.0, 0.0]))[:2])
    directions = draw_directions(spread, 3000, seeded(2))
    assert directions[:, 2].abs().max() == 0
    assert torch.allclose(directions.norm(dim=1), torch.ones(3000))
    assert 0.7 < (directions[:, 0].abs() > directions[:, 1].abs()).float().mean() < 0.9
    lengths = draw_lengths(spread, (0.2, 1.0), 3000, seeded(3))[:, 0].numpy() / 3
    assert stats.kstest((lengths - 0.2) / 0.8, stats.beta(2, 4).cdf).pvalue > 0.01


class Batch:
    """A model in float64 as after some training, and the features of two images."""

    def __init__(self, **changes: Any) -> None:
        self.model = new("dlas_lcd", Params(**TINY | changes)).double().train()
        images = torch.rand(2, 3, 128, 128, dtype=torch.float64, generator=seeded(4))
        self.levels = self.model.features(images)
        self.cells = self.model.features.cells(images)
        self.trainer = trainer_of(self.model)
        self.trainer.spread = spread_of([self.cells], self.model.params.coherent_directions)
        norm = self.model.discriminator.norm
        norm.weight.data += 0.3 * torch.randn(12, generator=seeded(5)).double()


@pytest.mark.parametrize("standardise", [False, True])
def test_the_branch_equals_its_plain_form(standardise: bool) -> None:
    batch = Batch(standardise=standardise)
    ours, generator = batch.model, seeded(6)
    plain = Plain(ours.params).with_weights(ours.adaptor, ours.discriminator)
    regions = draw_regions(2, 8, 8, generator)
    principal = draw_directions(batch.trainer.spread, 2, generator)
    lengths = draw_lengths(batch.trainer.spread, (0.2, 1.0), 2, generator)
    expected = coherent_loss(plain, batch.cells, regions, principal, lengths)
    loss = batch.trainer.coherent_loss(batch.levels, seeded(6))
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    loss.backward()
    expected.backward()
    trained = torch.nn.ModuleList([ours.adaptor, ours.discriminator])
    for mine, other in zip(trained.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=1e-10)
    for mine, other in zip(trained.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)


def test_the_ascent_direction_makes_the_shift_look_more_normal() -> None:
    batch = Batch()
    model, generator = batch.model, seeded(7)
    hidden = model.discriminator.first(model.adaptor(batch.cells)).detach()
    weight = (model.discriminator.first.weight @ model.adaptor.linear.weight).detach()
    regions = draw_regions(2, 8, 8, generator)
    shift = draw_directions(batch.trainer.spread, 2, generator)

    def loss(vectors: Tensor) -> float:
        moved = hidden + regions[..., None] * (vectors @ weight.T)[:, None, None]
        logits = model.discriminator.after_first(moved.flatten(0, 2))
        return anomalous_loss(logits[regions.flatten()]).item()

    direction = batch.trainer.hard_direction(hidden, regions, shift.clone(), weight)
    assert direction.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert loss(shift + 1e-3 * direction) > loss(shift) > loss(shift - 1e-3 * direction)


def share_clipped(length: float, projection: Projection) -> float:
    """Which share of the rows the last projection changes, at the published width and noise."""
    generator = seeded(8)
    d = Discriminator(1536, 64, generator=generator).double()
    u = torch.randn(96, 1536, dtype=torch.float64, generator=generator)
    noise = 0.015 * torch.randn(96, 1536, dtype=torch.float64, generator=generator)
    factors = ascended(d, u, noise, Ascent(step_length=length), projection).factors
    return (factors[-1] - 1).abs().gt(1e-6).double().mean().item()


def test_the_band_is_active_with_the_defaults_and_that_of_glass_is_not() -> None:
    p, unit = Params(), 0.015 * 1536**0.5
    assert trainer_of(new("dlas_lcd", Params(**TINY))).bounds == pytest.approx(
        (0.9 * 0.015 * 4, 1.3 * 0.015 * 4)  # √16 = 4
    )
    assert share_clipped(0.001, band(0.5, 1.0)) == 0
    assert share_clipped(p.ascent_length, band(p.band[0] * unit, p.band[1] * unit)) > 0.5


def test_each_part_can_be_turned_off() -> None:
    for coherent in (True, False):
        batch = Batch(coherent=coherent)
        masks = torch.zeros(2, 128, 128, dtype=torch.bool)
        masks[:, 20:60, 30:90] = True
        losses = batch.trainer.losses(batch.levels, batch.levels, masks, None, seeded(9))
        assert ("loss_coherent" in losses) == coherent
        assert all(loss > 0 for loss in losses.values())
    lengths = torch.tensor([[0.01], [0.2], [9.0]])
    clipped = new(
        "dlas_lcd", Params(**TINY, shell="adaptive", band_unit="absolute", band=[0.5, 1.0])
    )
    assert trainer_of(clipped).projection(None)(lengths).flatten().tolist() == pytest.approx(
        [0.8, 0.8, 1.2]
    )
    plain = new("dlas_lcd", Params(**TINY, shell="band", band_unit="absolute", band=[0.5, 1.0]))
    assert trainer_of(plain).projection(None)(lengths).flatten().tolist() == [0.5, 0.5, 1.0]
    # On the hypersphere a band is GLASS's; the adaptive projection uses no radius.
    radius = torch.tensor(0.15)
    assert trainer_of(plain).projection(radius)(lengths).flatten().tolist() == pytest.approx(
        [0.15, 0.2, 0.3]
    )
    assert trainer_of(clipped).projection(radius)(lengths).flatten().tolist() == pytest.approx(
        [0.8, 0.8, 1.2]
    )


def test_the_image_score_is_that_of_the_mean_of_the_largest_logits() -> None:
    logits = torch.tensor([[[0.1, 0.9], [0.5, 0.3]], [[0.2, 0.2], [0.2, 0.2]]])
    expected = {1: [0.9, 0.2], 2: [0.7, 0.2], 4: [0.45, 0.2], 9: [0.45, 0.2]}
    for count, means in expected.items():
        model = new("dlas_lcd", Params(**TINY, top_cells=count))
        scores = torch.tensor(means).sigmoid().tolist()
        assert model.combine(model.peaks(logits)[:, None]).tolist() == pytest.approx(scores)
        # Of an image in two windows, the largest cells of both.
        apart = torch.cat([model.peaks(half) for half in logits[:1].split(1, dim=1)])[None]
        assert model.combine(apart).tolist() == pytest.approx(scores[:1])


def test_a_reach_out_of_order_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"`coherent_reach` exceeds the upper one: \[2.0, 1"):
        Params(coherent_reach=[2.0, 1.0])
