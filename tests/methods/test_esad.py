"""ESAD: masks, gradients, bfloat16, selection, and the authors' test."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams
from blemish.methods.esad.detector import symmetric
from blemish.methods.esad.masks import PARTS, divide, draw_parts, removed_pixels
from blemish.methods.esad.params import Params
from blemish.methods.esad.plain import Plain
from blemish.methods.esad.smoothing import smoothed_map
from blemish.methods.loop import Loop
from blemish.methods.saved import load
from blemish.methods.trainer import trainer_of
from tests.esad import SECTION, esad, images
from tests.methods.tiny import CPU, pictures, trained
from tests.models import new
from tests.units import PARAMS, evaluate_model, tiny_unit, train_model


def test_1024_cells_are_divided_into_342_341_and_341() -> None:
    parts = divide(torch.randperm(1024, generator=torch.Generator().manual_seed(0)))
    assert torch.bincount(parts).tolist() == [342, 341, 341]
    assert torch.bincount(divide(torch.arange(7)), minlength=PARTS).tolist() == [3, 2, 2]


@pytest.mark.parametrize("cell", [2, 4, 16])
def test_three_masks_remove_each_cell_exactly_once(cell: int) -> None:
    parts = draw_parts((64, 64), cell, torch.Generator().manual_seed(3))
    removed = removed_pixels(parts, cell)
    assert removed.shape == (3, 1, 64, 64)
    assert (removed.sum(dim=0) == 1).all()
    for number, mask in enumerate(removed):
        cells = mask.view(64 // cell, cell, 64 // cell, cell).permute(0, 2, 1, 3).flatten(2)
        assert torch.equal(cells.any(dim=2), cells.all(dim=2))
        assert torch.equal(cells.any(dim=2), parts == number)
    assert not torch.equal(parts, draw_parts((64, 64), cell, torch.Generator().manual_seed(4)))


def test_features_made_once_are_those_of_every_step() -> None:
    unit = tiny_unit().open()
    method = new("esad", Params(**SECTION))
    loop = Loop(TrainingParams(device="cpu", threads=1), 0, "cache")
    normals = unit.normals(method.framing)
    cached = trainer_of(method).embed_all(normals, loop)
    assert cached is not None
    rows = torch.tensor([5, 0, 10])
    fresh = method.backbone.embed(symmetric(normals[rows]))
    torch.testing.assert_close(cached[rows], fresh, rtol=1e-4, atol=1e-5)
    sparing = new("esad", Params(**SECTION, cache_gib=0.0))
    assert trainer_of(sparing).embed_all(normals, loop) is None
    curves = []
    for one in (method, sparing):
        loop = Loop(TrainingParams(device="cpu", threads=1), 0, "cache")
        trainer_of(one).fit(unit, loop)
        curves.append([list(row.values()) for row in loop.curves])
    np.testing.assert_allclose(*curves, rtol=1e-3)


def test_the_loss_of_the_reconstruction_trains_the_inpainter_and_not_the_features() -> None:
    method, x = esad().train(), images()
    removed = removed_pixels(method.parts_4[0], 4)
    trainer_of(method).losses(x, method.backbone.embed(x), removed)[
        "loss_reconstruction"
    ].backward()
    assert all(one.grad is not None for one in method.inpainter.parameters())
    assert method.inpainter.last.weight.grad.abs().max() > 0
    assert not any(one.requires_grad for one in method.backbone.parameters())
    assert not method.backbone.training


def test_bfloat16_gives_nearly_the_same_losses_and_keeps_statistics_in_float32() -> None:
    method = esad().float().train()
    x, removed = images().float(), removed_pixels(method.parts_4[0], 4)
    features = method.backbone.embed(x)
    whole = trainer_of(method).losses(x, features, removed)
    with torch.autocast("cpu", torch.bfloat16):
        low = trainer_of(method).losses(x, features, removed)
    for name, value in whole.items():
        assert low[name].dtype == torch.float32
        assert low[name].item() == pytest.approx(value.item(), rel=0.02)
        assert low[name].item() != value.item()
    assert method.inpainter.first[1].running_mean.dtype == torch.float32


def test_bfloat16_trains_a_model_that_scores_in_float32() -> None:
    loop = Loop(TrainingParams(device="cpu", threads=1, precision="bfloat16"), 0, "low")
    method = new("esad", Params(**SECTION))
    trainer_of(method).fit(tiny_unit().open(), loop)
    whole = Loop(TrainingParams(device="cpu", threads=1), 0, "whole")
    trainer_of(new("esad", Params(**SECTION))).fit(tiny_unit().open(), whole)
    for low, high in zip(loop.curves, whole.curves, strict=True):
        assert low == pytest.approx(high, rel=0.2)
    assert loop.curves != whole.curves
    assert all(one.dtype == torch.float32 for one in method.parameters())


def test_selection_takes_the_epoch_with_the_least_loss_on_validation_normals(tmp_path) -> None:
    unit = tiny_unit()
    changes = SECTION | {"epochs": 4, "learning_rate": 0.05}
    assert changes["select"] == "validation"
    out = tmp_path / "esad-0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PARAMS, "training", PARAMS["training"] | {"keep_every": 1})
        train_model(unit, "esad", out, changes)
    method, _ = load(out, CPU)
    held_out = unit.open().normals(method.framing, "val")
    losses = {}
    for file in sorted((out / "epochs").iterdir()):
        method.load_state_dict(load_file(file))
        losses[file] = float(trainer_of(method).loss_on(held_out))
    assert len(set(losses.values())) == 4
    best, chosen = (
        load_file(min(losses, key=losses.__getitem__)),
        load_file(out / "model.safetensors"),
    )
    assert all(torch.equal(best[key], one) for key, one in chosen.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": [4, 5]}, r"`esad`: `cells`: 5 does not divide `image_size`, 64"),
        ({"cells": [4, 4]}, r"`cells` names a size twice: \[4, 4\]"),
        ({"window": 4}, r"`window` is 4: it must be odd"),
        ({"stride": 3}, r"backbone 'efficientnet_lite0' has no level of stride 3"),
        ({"leak": 1.5}, r"`esad.leak` is 1.5"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_model(tiny_unit(), "esad", tmp_path / "models" / "model", SECTION | change)
    assert not (tmp_path / "models").exists()


def test_views_show_the_first_mask_and_what_it_is_filled_with() -> None:
    method, _ = load(trained("esad"), CPU)
    shown = pictures("esad")[:2]
    views = method.views(shown)
    assert list(views) == ["masked image", "inpainting", "reconstruction"]
    hole = removed_pixels(method.parts_4[0], 4)[0].expand_as(shown)
    assert torch.equal(views["masked image"][~hole], shown[~hole])
    assert views["masked image"][hole].unique().tolist() == [128]


def test_the_authors_test_uses_batch_statistics_and_leaves_the_model_as_it_was() -> None:
    method, _ = load(trained("esad"), CPU)
    shown = pictures("esad")
    before = {name: one.clone() for name, one in method.state_dict().items()}
    first = [float(score[0]) for _, score in method.score_published(iter(shown))]
    again = [float(score[0]) for _, score in method.score_published(iter(shown))]
    assert first == again
    assert all(torch.equal(before[name], one) for name, one in method.state_dict().items())
    assert not method.training
    # Other images around it, another score; the honest score does not move.
    fewer = [float(score[0]) for _, score in method.score_published(iter(shown[:5]))]
    assert fewer[0] != first[0]
    with torch.no_grad():
        maps = [one for one, _ in method.score_published(iter(shown[:1]))]
        generator = torch.Generator().manual_seed(int(
            method.seed * 1_000_003 + method.inpainter.first[1].num_batches_tracked
        ))  # fmt: skip
        torch.randperm(1, generator=generator)  # the order
        x = symmetric(shown[:1])
        expected = 0
        plain = Plain(method.train())
        for cell in (4, 8):
            kept = (~removed_pixels(draw_parts((64, 64), cell, generator), cell)).float()
            expected = expected + plain.difference(x, kept)
    torch.testing.assert_close(
        torch.from_numpy(maps[0]), smoothed_map(expected, (64, 64), 5), rtol=1e-4, atol=1e-5
    )


def test_protocol_paper_reports_the_best_epoch_under_oracle_names(tmp_path: Path) -> None:
    unit, out = tiny_unit(), tmp_path / "esad-0"
    kept = PARAMS["training"] | {"keep_every": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PARAMS, "training", kept)
        train_model(unit, "esad", out, SECTION)
        results = evaluate_model(unit, out, tmp_path / "results", protocol="paper")
    found = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    assert found["protocol"] == "honest"
    oracle = found["oracle"]
    assert oracle["epochs"] == 2
    assert oracle["epoch"] in (1, 2)
    assert "batch statistics" in oracle["practice"]
    assert oracle["metrics"]["oracle_pixel_auroc"] != oracle["last"]["pixel_auroc"]
    assert oracle["last"]["image_auroc"] == pytest.approx(found["metrics"]["image_auroc"])
