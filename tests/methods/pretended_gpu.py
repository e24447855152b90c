"""A GPU that is not there: PyTorch's fake tensors, which have a device and a shape but no numbers.

Operations of fake tensors refuse to mix devices as those of real ones do. What the mode cannot
know it answers here: numbers that the host asks the device for, and gradients, for which PyTorch's
engine wants a driver. Generators of a GPU need one, too; `Stream` is one of the CPU that says it
is of the GPU, and whoever draws with it elsewhere fails.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.overrides import TorchFunctionMode

from blemish.methods.esad import detector as esad
from blemish.nn import backbones

# The last that fake tensors know: what the program keeps for a device is not kept for the first.
GPU = torch.device("cuda", 7)


class Stream(torch.Generator):
    """A generator that is said to be of the GPU."""

    @property
    def device(self) -> torch.device:
        return GPU


class Answers(TorchFunctionMode):
    """Answers what a fake tensor cannot, and holds generators to their device."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__bool__:
            return True
        if func is Tensor.__int__:
            return 0
        if func is torch.autograd.grad:
            inputs = args[1] if isinstance(args[1], tuple) else (args[1],)
            return tuple(map(torch.zeros_like, inputs))
        if func is Tensor.numpy and args[0].device.type == "cpu":
            return np.zeros(args[0].shape)
        if (generator := kwargs.get("generator")) is not None:
            drawn_on = torch.device(kwargs.get("device") or "cpu")
            if drawn_on.type != generator.device.type:
                raise RuntimeError(
                    f"{func.__name__} on {drawn_on} with a generator of {generator.device}"
                )
        return func(*args, **kwargs)


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block tensors are fake and "cuda" exists.

    Networks are not folded there: that compares numbers, or moves a copy, see `move`.
    """
    monkeypatch.setattr(backbones, "fold_normalisation", lambda network, _: network)
    monkeypatch.setattr(esad, "fused", lambda network: network)
    # cuDNN's own operations have no fake form.
    fake = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    with torch.backends.cudnn.flags(enabled=False), fake, Answers():
        yield


def on_gpu(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor on the pretended GPU."""
    return torch.zeros(shape, dtype=dtype, device=GPU)


def move(module: nn.Module, device: torch.device = GPU) -> None:
    """What `module.to(device)` does, which fake tensors do not allow."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            moved = torch.empty_like(weight, device=device)
            setattr(part, name, nn.Parameter(moved, weight.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.empty_like(buffer, device=device))
