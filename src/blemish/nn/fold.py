"""Frozen batch normalisation as part of the convolution before it: the same map, less traffic."""

from collections import Counter
from copy import deepcopy

import torch
from torch import Tensor, nn

Pair = tuple[str, str]


def fold_normalisation(network: nn.Module, image: Tensor) -> nn.Module:
    """A copy of a frozen network in which each BatchNorm2d that can be is part of its convolution.

    In evaluation mode y = γ (conv(x) − mean) / √(variance + ε) + β is a convolution with other
    weights and a bias. image: (1, 3, H, W), to see which convolution feeds which normalisation.
    Gives back the network itself if there is none, or if the copy's outputs differ.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    pairs = _pairs(network, image)
    folded = deepcopy(network)
    for convolution, normalisation in pairs:
        _fold(folded, convolution, normalisation)
    with torch.no_grad():
        for before, after in zip(network(image), folded(image), strict=True):
            if not torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max())):
                return network
    return folded


def _pairs(network: nn.Module, image: Tensor) -> list[Pair]:
    """Names of convolutions and of the normalisations that take nothing but their output."""
    made: list[tuple[Tensor, str]] = []  # holds the tensors, so that none takes another's place
    pairs: list[Pair] = []
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(
                module.register_forward_hook(
                    lambda _, __, output, name=name: made.append((output, name))
                )
            )
        elif isinstance(module, nn.BatchNorm2d):

            def note(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                pairs.extend((conv, name) for output, conv in made if output is given[0])

            hooks.append(module.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    uses = Counter(name for _, name in made) + Counter(name for pair in pairs for name in pair)
    return [pair for pair in pairs if uses[pair[0]] == 2 and uses[pair[1]] == 1]  # run once each


def _fold(network: nn.Module, convolution: str, normalisation: str) -> None:
    conv, norm = network.get_submodule(convolution), network.get_submodule(normalisation)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    factor = torch.rsqrt(variance.double() + norm.eps) * norm.weight.double()
    before = 0.0 if conv.bias is None else conv.bias.double()
    kernel = conv.weight.double() * factor[:, None, None, None]
    shift = (before - mean.double()) * factor + norm.bias.double()
    dtype, layout = conv.weight.dtype, torch.channels_last
    conv.weight = nn.Parameter(kernel.to(dtype).contiguous(memory_format=layout), False)
    conv.bias = nn.Parameter(shift.to(dtype), False)
    # timm's normalisations carry an activation and a dropout of their own.
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    parent, _, name = normalisation.rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Sequential(*rest))
