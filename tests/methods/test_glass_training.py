"""GLASS's training step as a machine sees it: no waiting for the device, products in bfloat16."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from blemish.core.params import TrainingParams
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.params import Params
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from tests.models import new
from tests.scoring import score_all
from tests.units import tiny_unit

TINY: dict[str, Any] = {
    "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16], "image_size": 64,
    "pretrain_dim": 24, "target_dim": 16, "hidden": 16, "variant": "manifold",
}  # fmt: skip


def glass(**changes: Any) -> Glass:
    return new("glass", Params(**(TINY | changes)))


class Waits(TorchDispatchMode):
    """Notes operations whose results a host must have before it can go on."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        flags = (index for index in self.tensors(args) if index.dtype == torch.bool)
        if name in self.NAMES or (name in ("index", "index_put_") and any(True for _ in flags)):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))

    def tensors(self, args: Any) -> Iterator[torch.Tensor]:
        indices = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else []
        return (index for index in indices if isinstance(index, torch.Tensor))


@pytest.mark.parametrize("variant", ["manifold", "hypersphere"])
def test_a_step_never_waits_for_the_device(variant: str) -> None:
    ours = glass(variant=variant, standardise=True).train()
    pictures = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(4, 64, 64, dtype=torch.bool)
    masks[:, :20, :20] = True
    normals, synthetic = ours.features(pictures), ours.features(pictures.flip(0))
    center = None
    if variant == "hypersphere":
        center = (
            trainer_of(ours)
            .adapted([level.mean(dim=0, keepdim=True) for level in normals])
            .detach()
        )
    generator = torch.Generator().manual_seed(1)
    run = Loop(TrainingParams(device="cpu"), 0, "step")
    with Waits() as waits:
        losses = trainer_of(ours).losses(normals, synthetic, masks, center, generator)
        torch.stack(list(losses.values())).sum().backward()
        run.log(**losses)
    assert waits.seen == []
    with Waits() as waits:  # what is watched for is seen
        torch.rand(3)[torch.rand(3) > 2].sum().item()
    assert waits.seen


@pytest.mark.parametrize("variant", ["manifold", "hypersphere"])
def test_bfloat16_changes_the_products_and_hardly_the_result(variant: str) -> None:
    unit = tiny_unit().open()
    trained = {}
    for precision in ("float32", "bfloat16"):
        ours = glass(variant=variant, epochs=3, batch_size=4, images_per_epoch=8, noise=0.3)
        settings = TrainingParams(device="cpu", threads=1, precision=precision)  # type: ignore[arg-type]
        trainer_of(ours).fit(unit, Loop(settings, 0, "tiny"))
        assert {weight.dtype for weight in ours.parameters()} == {torch.float32}
        images = unit.normals(ours.framing, "val")[:]
        trained[precision] = (ours.state_dict(), score_all(ours, images)[1])
    exact, low = trained["float32"], trained["bfloat16"]
    difference = (exact[0]["adaptor.linear.weight"] - low[0]["adaptor.linear.weight"]).abs().max()
    assert 0 < difference < 0.01
    assert low[1] == pytest.approx(exact[1], abs=0.03)


def test_float16_features_are_what_was_asked_for_and_hardly_change_the_result() -> None:
    unit, trained = tiny_unit().open(), {}
    for cache in ("exact", "float16"):
        ours = glass(epochs=2, batch_size=4, images_per_epoch=8, cache=cache, cache_gib=0)
        trainer_of(ours).fit(unit, Loop(TrainingParams(device="cpu", threads=1), 0, "tiny"))
        trained[cache] = ours.state_dict()["adaptor.linear.weight"]
    assert 0 < (trained["exact"] - trained["float16"]).abs().max() < 1e-3
