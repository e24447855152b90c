"""DMAD §10: each faster form gives what the plain, published one gives, in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

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
from tests.dmad import SIZE, small


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fields(size: int = 24) -> Fields:
    return Fields(*(0.1 * noise(2, 2, size, size, seed=seed) for seed in range(1, 5)))


def close(ours: Tensor, plain: Tensor) -> None:
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-11)


def with_coordinates(images: Tensor) -> Tensor:
    """The published input of a coordinate layer: four more channels, pixel by pixel."""
    height, width = images.shape[-2:]
    channels = torch.empty(4, height, width, dtype=images.dtype)
    for i in range(height):
        for j in range(width):
            where = []
            for index, size in ((i, height), (j, width)):
                coarse = (index // 4) / (size / 4 - 1)
                where += [2 * (index / (size - 1) - coarse) - 1, 2 * coarse - 1]
            channels[:, i, j] = torch.tensor(where, dtype=images.dtype)
    return torch.cat([images, channels.expand(len(images), -1, -1, -1)], dim=1)


def test_coordinates_need_not_be_convolved_for_every_pixel() -> None:
    layer = CoordinateConvolution(5, 6).double()
    images = noise(3, 5, 16, 24).requires_grad_()
    ours, plain = layer(images), F.conv2d(with_coordinates(images), layer.weight, padding=1)
    close(ours, plain)
    direction = noise(*ours.shape, seed=1)
    gradients = [
        torch.autograd.grad((result * direction).sum(), (layer.weight, images))
        for result in (ours, plain)
    ]
    for one, other in zip(*gradients, strict=True):
        close(one, other)


def plain_heads(network: OffsetNetwork, x2: Tensor) -> list[Tensor]:
    """O1, O2, O2ᵀ, O1ᵀ by four heads of their own, before tanh."""
    convolution, norm, _ = network.heads
    tails = (network.coarse, network.fine, network.fine_back, network.coarse_back)
    width = norm.num_features // 4
    found = []
    for number, tail in enumerate(tails):
        own = slice(number * width, (number + 1) * width)
        x = F.conv2d(x2, convolution.weight[own], convolution.bias[own], stride=2, padding=1)
        x = F.batch_norm(x, None, None, norm.weight[own], norm.bias[own], training=True)
        found.append(tail(F.relu(x)))
    return found


def test_heads_may_share_their_first_convolution() -> None:
    network = OffsetNetwork(6, 8 / 256, 3 / 256).double().train()
    images = noise(2, 3, 32, 32)
    x1 = F.relu(network.trunk(images))
    x2 = torch.cat([network.norm(x1 + network.residual(x1)), x1], dim=1)
    plain = [
        F.interpolate(torch.tanh(raw) * reach, (32, 32), mode="bilinear", align_corners=True)
        for raw, reach in zip(
            plain_heads(network, x2), (0.0625, 0.0234375, 0.0234375, 0.0625), strict=True
        )
    ]
    for ours, other in zip(network(images), plain, strict=True):
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
    kernel = torch.full((1, 2, 3, 3), -1 / 8, dtype=torch.float64)
    kernel[:, :, 1, 1] = 1
    plain = F.conv2d(field, kernel, padding=1).abs().mean()
    close(roughness(field), plain)
    (ours,), (expected,) = (torch.autograd.grad(one, field) for one in (roughness(field), plain))
    close(ours, expected)


def test_opposite_roughness_cancels() -> None:
    bumpy = noise(1, 1, 8, 8)
    assert float(roughness(torch.cat([bumpy, -bumpy], dim=1))) == 0


def test_both_score_maps_share_the_last_sampling() -> None:
    maps, bend = noise(2, 1, 24, 24, seed=7).abs(), fields()
    features, deformation = unwarp_scores(maps, bend)
    close(features, sample(sample(maps, bend.fine_back), bend.coarse_back))
    long = [field.square().sum(dim=1, keepdim=True).sqrt() for field in bend]
    close(deformation, sample(long[2], bend.coarse_back) + long[3])


def test_looking_a_prototype_up_is_the_one_hot_product() -> None:
    quantiser = Quantiser(7, 5, commitment=0.25).double()
    nn.init.normal_(quantiser.codebook)
    z = noise(2, 5, 4, 4).requires_grad_()
    quantised, loss = quantiser(z)
    vectors = z.permute(0, 2, 3, 1).reshape(-1, 5)
    codebook = quantiser.codebook
    distances = (vectors[:, None] - codebook[None]).square().sum(dim=2)
    one_hot = F.one_hot(distances.argmin(dim=1), 7).double()
    e = (one_hot @ codebook).view(2, 4, 4, 5).permute(0, 3, 1, 2)
    plain = z + (e - z).detach()
    plain_loss = F.mse_loss(e, z.detach()) + 0.25 * F.mse_loss(e.detach(), z)
    close(quantised, plain)
    close(loss, plain_loss)
    assert len(one_hot.argmax(dim=1).unique()) > 3
    totals = (loss + (quantised**2).sum(), plain_loss + (plain**2).sum())
    gradients = [torch.autograd.grad(total, (codebook, z)) for total in totals]
    for one, other in zip(*gradients, strict=True):
        close(one, other)


def test_cosines_of_levels_and_of_positions() -> None:
    encoded, decoded = (
        [noise(3, 4, 8, 8, seed=seed), noise(3, 6, 4, 4, seed=seed + 1)] for seed in (1, 5)
    )
    total, maps = 0.0, torch.zeros(3, 16, 16, dtype=torch.float64)
    for one, other in zip(encoded, decoded, strict=True):
        for number in range(3):
            a, b = one[number], other[number]
            total += float(1 - (a * b).sum() / (a.norm() * b.norm())) / 3
            at = 1 - (a * b).sum(dim=0) / (a.norm(dim=0) * b.norm(dim=0))
            maps[number] += F.interpolate(
                at[None, None], (16, 16), mode="bilinear", align_corners=True
            )[0, 0]
    assert float(distillation_loss(encoded, decoded)) == pytest.approx(total, rel=1e-12)
    close(distance_map(encoded, decoded, (16, 16))[:, 0], maps)


@pytest.mark.parametrize("vq", [True, False])
def test_a_batch_gives_what_its_images_give_and_maps_are_smoothed_as_scipy_does(vq: bool) -> None:
    model = small(vq=vq).eval()
    images = (noise(3, 3, SIZE, SIZE) * 40 + 128).clamp(0, 255).byte()
    with torch.inference_mode():
        batch = model.maps(images)
        close(batch, torch.cat([model.maps(one[None]) for one in images]))
        seen = model(images.double() / 255)
        raw = unwarp_scores(distance_map(seen.encoded, seen.decoded, (SIZE, SIZE)), seen.fields)
    for own, pair in zip(batch, zip(*raw, strict=True), strict=True):
        for ours, one in zip(own, pair, strict=True):
            smooth = gaussian_filter(one[0].numpy(), 4, mode="reflect", truncate=4.0)
            np.testing.assert_allclose(ours.numpy(), smooth, rtol=1e-9)


def test_a_length_of_zero_has_a_gradient_of_zero() -> None:
    field = torch.zeros(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    length(field).sum().backward()
    assert field.grad is not None
    assert (field.grad == 0).all()
