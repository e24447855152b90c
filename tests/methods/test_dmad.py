"""DMAD: gradients, modes, sizes, stability, scoring, the authors' protocol, pictures."""

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, load_params
from blemish.methods.dmad.bottleneck import Quantiser
from blemish.methods.dmad.detector import Dmad
from blemish.methods.dmad.fields import length
from blemish.methods.dmad.offsets import OffsetNetwork
from blemish.methods.dmad.params import Params
from blemish.methods.dmad.scoring import distillation_loss
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from stages import evaluate
from tests.dmad import SIZE, small
from tests.methods.tiny import TINY
from tests.models import new
from tests.units import PARAMS, params_folder, run_stage, tiny_unit, train_model


def images(count: int = 2, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, size, size, generator=generator, dtype=torch.float64)


def tiny(**changes: object) -> Dmad:
    return new("dmad", Params(**TINY["dmad"].params | changes))


def fit(model: Dmad, **training: object) -> Loop:
    loop = Loop(TrainingParams(device="cpu", threads=1, **training), 0, "tiny dmad")
    trainer_of(model).fit(tiny_unit().open(), loop)
    return loop


def test_gradient_flows_through_the_encoder_but_not_into_it() -> None:
    model = small().train()
    seen = model(images())
    distillation_loss(seen.encoded, [one.detach() for one in seen.decoded]).backward()
    reached = [weight.grad for weight in model.offsets.trunk.parameters()]
    assert all(grad is not None and grad.abs().max() > 0 for grad in reached)
    assert all(weight.grad is None for weight in model.backbone.parameters())


def test_the_encoder_stays_in_evaluation_mode() -> None:
    model = small()
    before = model.backbone.digest()
    for mode in (True, False, True):
        model.train(mode)
        assert model.decoder.training == mode
        assert not any(module.training for module in model.backbone.modules())
        trainer_of(model).losses(images())
    assert model.backbone.digest() == before  # running statistics among the rest


@pytest.mark.parametrize("size", [64, 96, 128, 256])
def test_fields_reach_the_same_share_of_an_image_of_any_size(size: int) -> None:
    network = OffsetNetwork(4, 8 / 256, 3 / 256).double().eval()
    with torch.no_grad():
        for tail in (network.coarse[-1], network.coarse_back[-1], network.fine, network.fine_back):
            tail.bias.fill_(50.0)
        fields = network(images(1, size))
    pixels = [float(field.max()) / 2 * size for field in fields]
    # 8 and 3 pixels at 256, as published; 2 units of a field are the whole side.
    coarse, fine = 8 * size / 256, 3 * size / 256
    assert pixels == pytest.approx([coarse, fine, fine, coarse], rel=1e-9)
    assert {field.shape for field in fields} == {(1, 2, size, size)}


@pytest.mark.parametrize("vq", [True, False])
@pytest.mark.parametrize(
    ("backbone", "strides", "size"),
    [
        ("efficientnet_lite0", [4, 8, 16], 96), ("efficientnet_lite0", [8, 16, 32], 128),
        ("resnet18", [4, 8, 16], 64),
    ],
)  # fmt: skip
def test_the_decoder_mirrors_any_backbone(
    backbone: str, strides: list[int], size: int, vq: bool
) -> None:
    model = small(backbone=backbone, strides=strides, image_size=size, vq=vq).train()
    seen = model(images(1, size))
    assert [one.shape for one in seen.encoded] == [one.shape for one in seen.decoded]
    assert [one.shape[-1] for one in seen.decoded] == [size // stride for stride in strides]
    assert model.eval().maps(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape == (
        1, 2, size, size,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 250}, r"`image_size` is 250 but must be a multiple of 32.+ try 256"),
        ({"image_size": 96, "strides": [8, 16, 32]}, r"must be a multiple of 64"),
        ({"image_size": 32}, r"`dmad.image_size` is 32"),
        ({"image_size": 64, "strides": [8, 16, 32]}, r"at least twice that: try 128"),
        ({"strides": [4, 8, 32]}, r"`strides` must double from level to level"),
        ({"strides": [4, 8]}, r"`dmad.strides`"),
        ({"coarse_reach": 0.0}, r"`dmad.coarse_reach` is 0.0"),
    ],
)
def test_impossible_settings_are_named(change: dict[str, object], message: str) -> None:
    with params_folder({"dmad": change}), pytest.raises(UserError, match=message):
        load_params()


def test_published_initialisation() -> None:
    model = new("dmad", Params(backbone="wide_resnet50_2", weights="random"))
    block = model.decoder.stages[0][1].body
    assert block[3].weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)
    assert block[0].weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.01)
    codebook = model.quantiser.codebook
    assert codebook.abs().max().item() == pytest.approx(1 / 200, rel=0.01)
    assert codebook.std().item() == pytest.approx(1 / 200 / math.sqrt(3), rel=0.01)
    norms = [m for m in model.decoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


@pytest.mark.parametrize(
    ("chosen", "perplexity"), [([8, 0, 0, 0], 1.0), ([2, 2, 2, 2], 4.0), ([0, 0, 0, 0], 1.0)]
)
def test_perplexity_counts_prototypes_by_their_share(chosen: list[int], perplexity: float) -> None:
    quantiser = Quantiser(4, 3, 0.25)
    quantiser.usage.copy_(torch.tensor(chosen))
    assert quantiser.perplexity() == pytest.approx(perplexity)
    assert quantiser.use()["codes_chosen"] == sum(count > 0 for count in chosen)


def test_code_usage_is_in_the_curves_and_a_collapse_is_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spread = tiny(codebook="features", codes=12)
    loop = fit(spread)
    assert all(2 < row["codes_in_use"] <= row["codes_chosen"] <= 12 for row in loop.curves)
    assert "collapsed" not in capsys.readouterr().err
    assert spread.facts()["codes_in_use"] == loop.curves[-1]["codes_in_use"]
    one = tiny(codes=1)
    assert {row["codes_chosen"] for row in fit(one).curves} == {1.0}
    assert "tiny dmad: the prototypes collapsed to one" in capsys.readouterr().err
    plain = tiny(vq=False)
    assert "codes_chosen" not in fit(plain).curves[0]
    assert set(plain.facts()) == {"backbone_digest"}


@pytest.mark.parametrize("kept", [{"checkpoint_seconds": 0}, {"keep_every": 1}])
def test_a_weight_that_is_no_number_ends_the_training_before_it_is_kept(
    kept: dict[str, int], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blemish.methods.checkpoint import Checkpoint

    model = tiny()
    step = torch.optim.AdamW.step

    def poisoned(self: torch.optim.AdamW, closure: None = None) -> object:
        found = step(self, closure)
        self.param_groups[0]["params"][0].data[0, 0, 0, 0] = torch.nan
        return found

    monkeypatch.setattr(torch.optim.AdamW, "step", poisoned)
    params = TrainingParams(device="cpu", threads=1, **kept)
    loop = Loop(params, 0, "tiny dmad", tmp_path, Checkpoint(tmp_path / "kept", "key"))
    with pytest.raises(UserError, match=r"tiny dmad: .+ not a number .+ epoch 1: lower the"):
        trainer_of(model).fit(tiny_unit().open(), loop)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_scores_are_in_deviations_of_the_validation_normals() -> None:
    model = tiny(deformation_weight=0.0)
    fit(model)
    normals = tiny_unit().open().normals(model.framing, "val")[:]
    with torch.inference_mode():
        maps, scores = model.score(normals)
        peaks = model.maps(normals).amax(dim=(2, 3)).double()
    assert float(scores.mean()) == pytest.approx(0, abs=1e-4)
    assert float(scores.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert maps.amax(dim=(1, 2)).double().tolist() == pytest.approx(scores.tolist(), abs=1e-4)
    # With the deformation: one fixed weight, whatever the other images.
    object.__setattr__(model, "params", model.params.model_copy(update={"deformation_weight": 0.5}))
    with torch.inference_mode():
        _, mixed = model.score(normals)
    bent = (peaks[:, 1] - peaks[:, 1].mean()) / peaks[:, 1].std(correction=0)
    assert (mixed - scores).tolist() == pytest.approx((0.5 * bent).tolist(), abs=1e-3)


def test_what_is_ours_trains_and_is_carried_by_the_model() -> None:
    """Epochs without the warp, a memory of normal cells."""
    ours = tiny(still_epochs=3, memory=25)
    loop = fit(ours)
    assert ["loss_offset" in row for row in loop.curves] == [False] * 3 + [True] * (
        len(loop.curves) - 3
    )
    assert loop.curves[2]["loss_distance"] < loop.curves[0]["loss_distance"]
    normals = tiny_unit().open().normals(ours.framing, "val")[:]
    with torch.inference_mode():
        maps, scores = ours.score(normals)
        peaks = ours.peaks(ours.measure(normals).cells)
        distances = peaks[:, 2]
    third = (distances - distances.mean()) / distances.std(correction=0)
    assert torch.allclose(ours.score_mean[2], distances.mean(), rtol=1e-4)
    again = tiny(still_epochs=3, memory=25)
    again.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        same_maps, same = again.eval().score(normals)
    assert torch.equal(same, scores)
    assert torch.equal(same_maps, maps)
    assert float(third.std(correction=0)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("unit", "weight"),
    [("mvtec/screw", 0.2), ("mvtec/metal_nut", 0.2), ("mvtec/bottle", 0.05), ("elpv/mono", 0.05)],
)
def test_the_authors_weigh_the_deformation_by_category(unit: str, weight: float) -> None:
    protocol = small().author_protocol(unit)
    assert protocol.scorings == ((1.0, 0.0), (1.0, weight))
    assert protocol.labels_from_masks
    assert protocol.chosen_by == ()


def test_protocol_paper_adds_the_larger_aurocs_and_needs_no_kept_epochs(tmp_path) -> None:
    model = train_model(tiny_unit(), "dmad", tmp_path / "model", TINY["dmad"].params)
    folders = [tmp_path / protocol for protocol in ("honest", "paper")]
    for folder in folders:
        evaluation = PARAMS["evaluation"] | {"protocol": folder.name}
        unit, changes = tiny_unit(), {"methods": ["dmad"], "evaluation": evaluation}
        run_stage(evaluate.main, changes, model, unit.prepared, unit.synthetic, folder)
    honest, paper = (json.loads((one / "metrics.json").read_text("utf-8")) for one in folders)
    oracle = paper.pop("oracle")
    assert paper == honest
    assert set(oracle["metrics"]) == {"oracle_image_auroc", "oracle_pixel_auroc"}
    assert (oracle["epoch"], oracle["epochs"]) == (None, None)
    for value in oracle["metrics"].values():
        assert value == round(value, 3)
    assert "feature + 0.05 deformation score" in oracle["practice"]


def test_the_authors_components_are_the_unscaled_maps() -> None:
    model = tiny()
    pictures = (images(3) * 255).byte()
    found = list(model.score_published(pictures))
    with torch.inference_mode():
        for image, (maps, scores) in zip(pictures, found, strict=True):
            np.testing.assert_array_equal(maps, model.maps(image[None])[0].numpy())
            np.testing.assert_array_equal(scores, maps.max(axis=(1, 2)))


def test_bfloat16_keeps_fields_and_losses_precise() -> None:
    model = small().float().train()
    batch = images().float()
    with torch.no_grad():
        exact = {name: float(value) for name, value in trainer_of(model).losses(batch).items()}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        seen, losses = model(batch), trainer_of(model).losses(batch)
    assert {field.dtype for field in seen.fields} == {torch.float32}
    assert {value.dtype for value in losses.values()} == {torch.float32}
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(exact, rel=0.05)


def test_views_show_the_warp() -> None:
    model = small().eval()
    with torch.inference_mode():
        found = model.views((images() * 255).byte())
        fields = model(images()).fields
    assert list(found) == [
        "warped image", "coarse field", "fine field", "map of the warped image", "map warped back",
    ]  # fmt: skip
    for view in found.values():
        assert (view.dtype, view.shape) == (torch.uint8, (2, 3, SIZE, SIZE))
    # The longer the displacement, the further from white.
    paleness = found["coarse field"].double().amin(dim=1).flatten()
    long = length(fields.coarse).flatten()
    assert float(torch.corrcoef(torch.stack([paleness, long]))[0, 1]) < -0.9
    assert not torch.equal(found["map of the warped image"], found["map warped back"])
