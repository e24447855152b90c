"""ESAD: each faster form gives what the plain one gives, in float64."""

import pytest
import torch
from torch import nn

from blemish.methods.esad.masks import removed_pixels
from blemish.methods.esad.networks import UNet, fused
from blemish.methods.esad.plain import Plain
from blemish.methods.esad.plain import smoothed_map as plain_smoothed_map
from blemish.methods.esad.smoothing import smoothed_map
from blemish.methods.trainer import trainer_of
from tests.esad import esad, images


def test_all_masks_in_one_batch_equal_one_pass_a_mask() -> None:
    method, x = esad(), images()
    removed, plain = removed_pixels(method.parts_4, 4), Plain(method)
    with torch.no_grad():
        made = method.reconstruct_at_once(x, removed)
        for found, masks in zip(made, removed, strict=True):
            expected, _ = plain.reconstruct(x, (~masks).double(), leak=0.5)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
            torch.testing.assert_close(method.reconstruct(x, masks, 0.5)[0], expected)
    assert made[0].std() > 0.05
    assert (made[0] - made[1]).abs().max() > 1e-3


def test_folded_batchnorms_change_nothing() -> None:
    network, x = esad().inpainter, images()
    folded = fused(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(x), network(x), rtol=0, atol=1e-12)


def test_channels_last_changes_nothing(monkeypatch) -> None:
    network, x = UNet(4, torch.Generator().manual_seed(0)).double().train(), images()
    last = network(x)
    assert last.is_contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(torch, "channels_last", torch.contiguous_format)
    first = network(x)
    assert first.is_contiguous()
    torch.testing.assert_close(first, last, rtol=0, atol=1e-12)


def test_a_score_is_the_sum_over_cell_sizes_of_the_mean_over_draws() -> None:
    method, x = esad(), images()
    plain, expected = Plain(method), 0
    with torch.no_grad():
        for cell in (4, 8):
            for parts in method.get_buffer(f"parts_{cell}"):
                kept = (~removed_pixels(parts, cell)).double()
                expected = expected + plain.difference(x, kept) / 2
        found = method.differences(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cells", "size", "window"), [(16, 64, 21), (32, 128, 21), (9, 50, 1)])
def test_one_matrix_an_axis_equals_interpolation_and_mean_filter(cells, size, window) -> None:
    generator = torch.Generator().manual_seed(0)
    difference = torch.rand(2, cells, cells, dtype=torch.float64, generator=generator)
    expected = plain_smoothed_map(difference, size, window)
    found = smoothed_map(difference, (size, size), window)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_losses_are_those_of_the_plain_form() -> None:
    method, x = esad().train(), images()
    removed = removed_pixels(method.parts_4[0], 4)
    plain = Plain(method)
    expected = plain.loss(x, (~removed).double())
    losses = trainer_of(method).losses(x, method.backbone.embed(x), removed)
    found = sum(losses.values())
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for weights, others in ((method.inpainter, plain.p), (method.reconstructor, plain.g)):
        gradients = (
            torch.autograd.grad(total, list(network.parameters()), retain_graph=True)
            for total, network in ((found, weights), (expected, others))
        )
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-11)


def test_batchnorm_sees_each_mask_alone_in_training() -> None:
    method, x = esad().train(), images()
    norm = method.inpainter.first[1]
    steps, seen = int(norm.num_batches_tracked), []
    hook = norm.register_forward_hook(lambda _, given, __: seen.append(given[0].mean((0, 2, 3))))
    before = norm.running_mean.clone()
    trainer_of(method).losses(x, method.backbone.embed(x), removed_pixels(method.parts_4[0], 4))
    hook.remove()
    assert int(norm.num_batches_tracked) - steps == len(seen) == 3
    for mean in seen:
        before = 0.9 * before + 0.1 * mean
    torch.testing.assert_close(norm.running_mean, before.detach())


def test_folded_networks_follow_the_weights() -> None:
    method, x = esad(), images(1)
    with torch.no_grad():
        first = method.differences(x)
        method.load_state_dict({key: 0.9 * one if one.is_floating_point() else one
                                for key, one in method.state_dict().items()})  # fmt: skip
        second = method.eval().differences(x)
    assert (first - second).abs().max() > 1e-6
