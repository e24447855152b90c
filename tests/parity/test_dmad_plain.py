"""DMAD: each faster form of `docs/spec/dmad.md` §10 gives what the plain one gives, in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.methods.dmad import plain
from blemish.methods.dmad.bottleneck import Quantiser
from blemish.methods.dmad.fields import (
    Fields,
    length,
    roughness,
    sample,
    unwarp_scores,
    warp,
    warp_back,
)
from blemish.methods.dmad.offsets import CoordinateConvolution, OffsetNetwork
from blemish.methods.dmad.scoring import distance_map, distillation_loss
from blemish.methods.trainer import trainer_of
from tests.dmad import SIZE, small


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fields(size: int = 24) -> Fields:
    return Fields(*(0.1 * noise(2, 2, size, size, seed=seed) for seed in range(1, 5)))


def close(ours: Tensor, plain: Tensor) -> None:
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-11)


def test_coordinates_need_not_be_convolved_for_every_pixel() -> None:
    layer = CoordinateConvolution(5, 6).double()
    images = noise(3, 5, 16, 24).requires_grad_()
    ours = layer(images)
    expected = F.conv2d(plain.with_coordinates(images), layer.weight, padding=1)
    close(ours, expected)
    direction = noise(*ours.shape, seed=1)
    gradients = [
        torch.autograd.grad((result * direction).sum(), (layer.weight, images))
        for result in (ours, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        close(one, other)


def test_heads_may_share_their_first_convolution() -> None:
    network = OffsetNetwork(6, 8 / 256, 3 / 256).double().train()
    images = noise(2, 3, 32, 32)
    assert network.reach == (0.0625, 0.0234375)
    expected = plain.Offsets(network)(images)
    for ours, other in zip(network(images), expected, strict=True):
        close(ours, other)


def test_warping_commutes_with_normalisation() -> None:
    """So that the warp may act before the encoder's normalisation, and not after it."""
    images, bend = noise(2, 3, 24, 24, seed=9), fields()
    mean, std = noise(3, 1, 1, seed=10), noise(3, 1, 1, seed=11).exp()
    close((warp(images, bend) - mean) / std, warp((images - mean) / std, bend))
    back = warp_back(images, bend) - images
    close(back / std, warp_back((images - mean) / std, bend) - (images - mean) / std)


def test_sampling_is_bilinear_between_corner_centres() -> None:
    images, bend = noise(1, 1, 6, 6), 0.7 * noise(1, 2, 6, 6, seed=3)
    ours = sample(images, bend)[0, 0]
    for i in range(6):
        for j in range(6):
            x, y = (
                float(((-1 + 2 * at / 5) + bend[0, axis, i, j]).clamp(-1, 1) + 1) * 2.5
                for axis, at in ((0, j), (1, i))
            )
            left, top = min(int(x), 4), min(int(y), 4)
            dx, dy = x - left, y - top
            square = images[0, 0, top : top + 2, left : left + 2]
            rows = square[:, 0] * (1 - dx) + square[:, 1] * dx
            assert float(ours[i, j]) == pytest.approx(float(rows[0] * (1 - dy) + rows[1] * dy))


def test_roughness_is_the_published_filter() -> None:
    field = noise(2, 2, 9, 11).requires_grad_()
    values = roughness(field), plain.roughness(field)
    close(*values)
    (ours,), (expected,) = (torch.autograd.grad(one, field) for one in values)
    close(ours, expected)


def test_opposite_roughness_cancels() -> None:
    bumpy = noise(1, 1, 8, 8)
    assert float(roughness(torch.cat([bumpy, -bumpy], dim=1))) == 0


def test_both_score_maps_share_the_last_sampling() -> None:
    maps, bend = noise(2, 1, 24, 24, seed=7).abs(), fields()
    features, deformation = unwarp_scores(maps, bend)
    close(features, plain.sample(plain.sample(maps, bend.fine_back), bend.coarse_back))
    close(deformation, plain.deformation(bend.fine_back, bend.coarse_back))


def test_looking_a_prototype_up_is_the_one_hot_product() -> None:
    quantiser = Quantiser(7, 5, commitment=0.25).double()
    nn.init.normal_(quantiser.codebook)
    z = noise(2, 5, 4, 4).requires_grad_()
    quantised, loss = quantiser(z)
    codebook = quantiser.codebook
    expected, expected_loss = plain.quantise(z, codebook, 0.25)
    close(quantised, expected)
    close(loss, expected_loss)
    assert len(quantiser.nearest(z).unique()) > 3
    totals = (loss + (quantised**2).sum(), expected_loss + (expected**2).sum())
    gradients = [torch.autograd.grad(total, (codebook, z)) for total in totals]
    for one, other in zip(*gradients, strict=True):
        close(one, other)


def test_cosines_of_levels_and_of_positions() -> None:
    encoded, decoded = (
        [noise(3, 4, 8, 8, seed=seed), noise(3, 6, 4, 4, seed=seed + 1)] for seed in (1, 5)
    )
    total = float(plain.distillation_loss(encoded, decoded))
    assert float(distillation_loss(encoded, decoded)) == pytest.approx(total, rel=1e-12)
    expected = plain.distance_map(encoded, decoded, torch.Size((16, 16)))
    close(distance_map(encoded, decoded, (16, 16)), expected)


@pytest.mark.parametrize("vq", [True, False])
def test_a_batch_gives_what_its_images_give_and_maps_are_smoothed_as_scipy_does(vq: bool) -> None:
    model = small(vq=vq).eval()
    images = (noise(3, 3, SIZE, SIZE) * 40 + 128).clamp(0, 255).byte()
    with torch.inference_mode():
        batch = model.maps(images)
        close(batch, torch.cat([model.maps(one[None]) for one in images]))
        expected = plain.Plain(model).maps(images)
    np.testing.assert_allclose(batch.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("vq", [True, False])
def test_the_losses_and_their_gradients_are_those_of_the_plain_form(vq: bool) -> None:
    model = small(vq=vq).train()
    other = plain.Plain(model)
    images = noise(2, 3, SIZE, SIZE).sigmoid()
    found = torch.stack(list(trainer_of(model).losses(images).values())).sum()
    expected = other.loss(images)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
    parts = zip((model.bottleneck, model.decoder), (other.bottleneck, other.decoder), strict=True)
    for ours, theirs in parts:
        gradients = (
            torch.autograd.grad(total, list(part.parameters()), retain_graph=True)
            for total, part in ((found, ours), (expected, theirs))
        )
        for one, another in zip(*gradients, strict=True):
            torch.testing.assert_close(one, another, rtol=1e-7, atol=1e-10)


def test_a_length_of_zero_has_a_gradient_of_zero() -> None:
    field = torch.zeros(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    length(field).sum().backward()
    assert field.grad is not None
    assert (field.grad == 0).all()
