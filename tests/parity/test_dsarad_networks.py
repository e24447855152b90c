"""DSARAD's networks, `docs/spec/dsarad.md` §3 and §12, in float64; folded BatchNorm.

Parameter counts, features, outputs and scores.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from blemish.methods.dsarad import plain
from blemish.methods.dsarad.detector import box_means
from blemish.methods.dsarad.networks import (
    ConvNorm,
    NonLocal,
    Reconstruction,
    Segmenter,
    convolutions,
    up,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rule_h(count: int) -> Tensor:
    h = np.arange(1, count + 1, dtype=np.uint64) * 0x9E3779B1 % 2**32
    h = (h ^ (h >> 15)) * 0x85EBCA6B % 2**32
    return torch.from_numpy((h ^ (h >> 13)) / 2**32)


@torch.no_grad()
def filled(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, every tensor by the rule of §12."""
    module = module.double().eval()
    for name, tensor in module.state_dict().items():
        count = torch.arange(1, tensor.numel() + 1, dtype=torch.float64).view(tensor.shape)
        if tensor.ndim == 4:
            bound = math.sqrt(6 * len(tensor) / tensor.numel())
            tensor.copy_((bound * (2 * rule_h(tensor.numel()) - 1)).view(tensor.shape))
        elif name.endswith("running_mean"):
            tensor.copy_(0.02 * torch.sin(count))
        elif name.endswith("running_var"):
            tensor.copy_(1 + 0.1 * torch.cos(count))
        elif name.endswith("bias"):
            tensor.copy_(0.05 * torch.cos(count))
        elif name.endswith("weight"):
            tensor.copy_(1 + 0.1 * torch.sin(count))
    return module


def waves(b: int, c: int, h: int, w: int) -> Tensor:
    """sin(0.07 i + 0.11 j + 0.9 c + 1.3 b)."""
    axes = zip((1.3, 0.9, 0.07, 0.11), (b, c, h, w), strict=True)
    phases = torch.meshgrid(
        *(step * torch.arange(n, dtype=torch.float64) for step, n in axes), indexing="ij"
    )
    return torch.sin(sum(phases))


def figures(tensor: Tensor) -> list[float]:
    """Mean, deviation, least, largest, first, last."""
    flat = tensor.contiguous().flatten()
    found = (flat.mean(), flat.std(correction=0), flat.min(), flat.max(), flat[0], flat[-1])
    return [float(value) for value in found]


VECTORS = {
    "output": (*(0.159883815, 0.993129168, -2.15861386, 2.81219665, 0.179411024, -0.0920765183),),
    "F1": (0.37246757, 0.563587153, 0, 3.46505396, 0.216110191, 0.553325704),
    "F2": (0.489225247, 1.92153298, -5.73948853, 8.42308402, 1.57578332, 1.48826635),
    "F3": (1.08234156, 1.69944425, 0, 11.2765567, 0, 0),
    "F4": (1.05886476, 1.5563766, 0, 11.517138, 0, 0),
    "E5": (0.914746654, 1.35967644, 0, 11.4448835, 2.92319602, 0),
    "logits": (1.59861047, 1.96473261, -2.00929327, 7.53072069, 0.682007444, 0.686079175),
    "probability": (
        *(0.0633272159, 0.0808414211, 0.000557992433, 0.66251516, 0.243422712, 0.609447039),
    ),
}


def test_the_filling_rule() -> None:
    first = [0.947292210, 0.999174156, 0.808854881, 0.521669646, 0.757655630]
    assert rule_h(5).tolist() == pytest.approx(first, abs=5e-10)


@torch.inference_mode()
def test_published_width() -> None:
    """Counts of §3 and all vectors of the networks, at the published widths."""
    student = filled(Reconstruction(128, generator()))
    segmenter = filled(Segmenter(64, generator()))
    x = 0.5 + 0.5 * waves(2, 3, 64, 64)
    output, features = student(x)
    logits = segmenter(torch.cat([output, x], dim=1))
    probability = logits.softmax(dim=1)[:, 1]
    found = dict(zip(("F1", "F2", "F3", "F4"), features, strict=True))
    found |= {"output": output, "E5": student.bottom(features), "logits": logits}
    for name, tensor in (found | {"probability": probability}).items():
        assert figures(tensor) == pytest.approx(VECTORS[name], rel=1e-8, abs=1e-12), name
    scores = box_means(probability, 21).amax(dim=(1, 2)).tolist()
    assert scores == pytest.approx([0.108755351, 0.124216117], rel=1e-8)

    def count(module: nn.Module) -> int:
        return sum(one.numel() for one in module.parameters())

    assert [count(block) for block in student.encoder] == [
        151_680, 886_272, 3_542_016, 14_161_920, 18_880_512,
    ]  # fmt: skip
    assert count(student.attention) == 394_368
    assert [[count(part) for part in step] for step in student.decoder] == [
        [9_440_256, 14_160_384], [2_360_832, 3_541_248], [590_592, 885_888], [147_840, 295_680],
    ]  # fmt: skip
    assert count(student.out) == 3_459
    assert count(student) == 69_442_947
    assert [count(block) for block in segmenter.down] == [
        40_704, 221_952, 886_272, 3_542_016, 4_721_664, 4_721_664,
    ]  # fmt: skip
    assert [count(block) for block in segmenter.ups] == [
        2_360_832, 1_180_416, 295_296, 73_920, 37_056,
    ]  # fmt: skip
    assert [count(block) for block in segmenter.joins] == [
        7_080_960, 2_360_832, 590_592, 147_840, 110_976,
    ]  # fmt: skip
    assert count(segmenter) == 28_374_146


def test_attention_vector() -> None:
    block = filled(NonLocal(8))
    found = figures(block(waves(1, 8, 16, 16)).detach())
    wanted = [0.556789519, 1.35383024, -3.13182642, 3.70110443, -0.960803254, -0.652489033]
    assert found == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("training", [False, True])
def test_fused_attention_equals_the_matrix_of_scores(training: bool) -> None:
    block = filled(NonLocal(12)).train(training)
    given = [waves(2, 12, 10, 14).requires_grad_() for _ in range(2)]
    found, wanted = block(given[0]), plain.attention(block, given[1])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    changes = [waves(2, 12, 10, 14).flip(2)] * 2
    torch.autograd.backward([found, wanted], changes)
    torch.testing.assert_close(given[0].grad, given[1].grad, rtol=0, atol=1e-12)


def test_folded_batch_norm_equals_both_layers() -> None:
    layer = filled(ConvNorm(5, 7))
    x = waves(2, 5, 9, 11).requires_grad_()
    found, wanted = layer(x), plain.convolution(layer, x)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)
    learnt = [x, *layer.parameters()]  # frozen statistics are trained through
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), learnt),
        torch.autograd.grad(wanted.square().sum(), learnt),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_upsampling_aligns_corners() -> None:
    assert up(3, 2)[0](waves(1, 3, 4, 4))[0, 0, -1, -1] == waves(1, 3, 4, 4)[0, 0, -1, -1]


def test_initialisation() -> None:
    network = Reconstruction(16, generator())
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1), name
            bound = module.weight[0].numel() ** -0.5
            if name == "attention.back.conv":  # its weight is not zero: no identity at the start
                assert not module.bias.any()
            else:
                assert bound / 2 < module.bias.abs().max().item() <= bound, name
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02), name
            assert 0.005 < module.weight.std().item() < 0.04, name
            assert not module.bias.any()
    other = Reconstruction(16, torch.Generator().manual_seed(1))
    assert not torch.equal(network.out.weight, other.out.weight)


def test_channels_lie_together() -> None:
    layers = convolutions(8, 8).to(memory_format=torch.channels_last)
    x = torch.rand(2, 8, 6, 6).to(memory_format=torch.channels_last)
    assert layers(x).is_contiguous(memory_format=torch.channels_last)
    segmenter, student = Segmenter(4, generator()).eval(), Reconstruction(4, generator()).eval()
    images = torch.rand(2, 3, 64, 64).to(memory_format=torch.channels_last)
    output, features = student(images)
    for tensor in (output, *features, segmenter(torch.cat([output, images], dim=1))):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("box", [1, 5, 21])
def test_box_means_divide_by_the_whole_box_at_the_border(box: int) -> None:
    maps = torch.zeros(2, 40, 40, dtype=torch.float64)
    maps[0, 0, 0] = maps[1, 10, 10] = 1.0
    maps[1, 39, 39] = 0.5
    largest = box_means(maps, box).amax(dim=(1, 2))
    assert largest.tolist() == pytest.approx([1 / box**2, 1 / box**2], rel=1e-12)
    ones = torch.ones(1, 40, 40, dtype=torch.float64)
    assert box_means(ones, box).max().item() == pytest.approx(1, rel=1e-12)
