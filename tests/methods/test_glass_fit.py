"""What GLASS's training does around its steps: passes of the backbone, what learns, the judge."""

from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from blemish.images.framing import Framing
from blemish.methods.glass.distribution import judge
from blemish.methods.glass.training import mean_image
from blemish.methods.trainer import trainer_of
from tests.glass import STEPS, TINY, glass, loop
from tests.units import scratch, tiny_unit, train_model, write_unit


def test_frozen_features_of_normals_are_computed_once() -> None:
    ours = glass(epochs=4)
    passes: list[int] = []
    backbone = ours.features.backbone
    backbone.register_forward_pre_hook(lambda _, images: passes.append(len(images[0])))
    trainer_of(ours).fit(tiny_unit().open(), loop())
    # 11 normals in one pass; then every step embeds its synthetic images and nothing else.
    assert passes == [11] + [4] * (4 * STEPS)


@pytest.mark.parametrize(
    ("variant", "ascent"), [("manifold", 20), ("hypersphere", 20), ("manifold", 3)]
)
def test_the_discriminator_sees_22_batches_a_step(variant: str, ascent: int) -> None:
    ours = glass(variant=variant, ascent_steps=ascent, epochs=2)
    trainer_of(ours).fit(tiny_unit().open(), loop())
    tracked = ours.discriminator.norm.num_batches_tracked.item()
    assert tracked == (ascent + 2) * STEPS * 2


def test_the_backbone_stays_as_it_was() -> None:
    ours = glass()
    digest = ours.features.backbone.digest()
    trainer_of(ours).fit(tiny_unit().open(), loop())
    assert ours.training
    assert not any(module.training for module in ours.features.backbone.modules())
    assert all(parameter.grad is None for parameter in ours.features.backbone.parameters())
    assert not any(parameter.requires_grad for parameter in ours.features.backbone.parameters())
    assert ours.features.backbone.digest() == digest
    learnt = {name for name, weight in ours.named_parameters() if weight.grad is not None}
    assert learnt == {
        "adaptor.linear.weight", "adaptor.linear.bias",
        "discriminator.first.weight", "discriminator.first.bias",
        "discriminator.norm.weight", "discriminator.norm.bias",
        "discriminator.tail.weight",
    }  # fmt: skip
    assert not [key for key in ours.state_dict() if "backbone" in key]
    assert ours.facts() == {"backbone_digest": digest, "hypersphere": False}


def framed(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Flat grey between a bright and a dark margin, which the central square leaves out."""
    picture = np.full((height, width, 3), 128, np.uint8)
    margin = (width - height) // 2
    picture[:, :margin] = 250 + random.integers(0, 3)
    picture[:, width - margin :] = random.integers(0, 3)
    return picture


def test_judge_takes_the_variant_of_the_mean_squashed_image() -> None:
    compact, loose = write_unit(scratch() / "framed", framed), tiny_unit()
    crop, squash = Framing.square(64, "crop"), Framing.square(64, "squash")
    normals = compact.open().normals
    assert judge(mean_image(normals(squash))).hypersphere
    assert not judge(mean_image(normals(crop))).hypersphere  # else the test would prove nothing
    assert not judge(mean_image(loose.open().normals(squash))).hypersphere

    def weights(unit: Any, variant: str) -> bytes:
        out = scratch() / f"{unit.root.name}-{variant}"
        train_model(unit, "glass", out, TINY | {"variant": variant, "epochs": 1})
        assert load_file(out / "model.safetensors")
        return (out / "model.safetensors").read_bytes()

    assert weights(compact, "judge") == weights(compact, "hypersphere")
    assert weights(compact, "judge") != weights(compact, "manifold")
    assert weights(loose, "judge") == weights(loose, "manifold")
