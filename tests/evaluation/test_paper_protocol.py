"""Protocol `paper`: what the authors of each method do with the test set; PRO of GLASS."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from blemish.core.errors import UserError
from blemish.core.params import load_params
from blemish.evaluation.evaluate import evaluate as measure
from blemish.evaluation.paper_protocol import as_published, combine
from blemish.evaluation.predictions import Predictions
from blemish.evaluation.scoring import mask_to_model, score_images
from blemish.images.framing import Framing
from blemish.images.manifest import read_manifest
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.registry import METHODS
from blemish.methods.saved import load, load_state
from blemish.metrics.table import GLASS_PRO
from stages import evaluate, train
from tests.evaluation.zoned import ignoring_unit
from tests.models import new
from tests.units import NAME, PARAMS, params_folder, run_stage, tiny_unit


def predictions(folder: Path, maps: list[np.ndarray], masks: list[np.ndarray]) -> Predictions:
    rows = []
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{number}.png")
        rows.append({
            "image": f"{number}.jpg", "mask": f"{number}.png", "label": int(mask.any()),
            "defect": "spot", "slice": "", "height": mask.shape[0], "width": mask.shape[1],
        })  # fmt: skip
    framing = Framing.square(maps[0].shape[0], "squash")
    scores = np.array([float(one.max()) for one in maps])
    return Predictions(pd.DataFrame(rows), scores, maps, framing.to_original, folder)


GLASS = {
    "backbone": "efficientnet_lite0", "weights": "random", "strides": [16], "image_size": 64,
    "resize": "squash", "pretrain_dim": 24, "target_dim": 16, "hidden": 16, "noise": 0.5,
    "epochs": 4, "average_last": 1, "batch_size": 4, "images_per_epoch": 8, "ascent_steps": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLASS on the tiny unit, every second of four epochs kept."""
    out = tmp_path_factory.mktemp("kept") / "glass-0"
    unit = tiny_unit()
    changes = {"glass": GLASS, "training": PARAMS["training"] | {"keep_every": 2}}
    run_stage(train.main, changes, NAME, "glass", "0", *unit.inputs, out)
    return out


def metrics(model: Path, out: Path, protocol: str) -> dict:
    unit = tiny_unit()
    changes = {
        "evaluation": PARAMS["evaluation"] | {"protocol": protocol},
        "training": PARAMS["training"] | {"keep_every": 2},
    }
    run_stage(evaluate.main, changes, model, unit.prepared, unit.synthetic, out)
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"))


def test_the_kept_epochs_are_those_asked_for(model: Path) -> None:
    files = sorted(path.name for path in (model / "epochs").iterdir())
    assert files == ["00002.safetensors", "00004.safetensors"]
    last, whole = (load_file(model / name) for name in ("epochs/00004.safetensors",
                                                        "model.safetensors"))  # fmt: skip
    assert all((last[key] == whole[key]).all() for key in whole)


def test_the_best_epoch_is_the_best_of_the_kept_ones(model: Path, tmp_path: Path) -> None:
    honest = metrics(model, tmp_path / "honest", "honest")
    paper = metrics(model, tmp_path / "paper", "paper")
    oracle = paper.pop("oracle")
    assert "oracle" not in honest
    assert paper == honest  # the main numbers stay what they were
    unit = read_manifest(tiny_unit().prepared)
    rows = unit.of("test")
    method, _ = load(model, torch.device("cpu"))
    truncated = partial(mask_to_model, method.framing, above=254)
    totals = {}
    for file in sorted((model / "epochs").iterdir()):
        load_state(method, file)
        tested = score_images(method, unit, rows[rows["slice"] != "doubtful"], "test")
        found = measure(
            replace(tested, mask_to_model=truncated), headline=every, masks="pixel",
            threshold=0.5, resolution="model",
        ).metrics  # fmt: skip
        totals[int(file.stem)] = found["image_auroc"] + found["pixel_auroc"], found
    best = max(totals, key=lambda epoch: (totals[epoch][0], -epoch))
    assert (oracle["epoch"], oracle["epochs"]) == (best, 2)
    for name, value in totals[best][1].items():
        assert oracle["metrics"][f"oracle_{name}"] == pytest.approx(value, abs=1e-9)
    assert set(oracle["last"]) == set(totals[best][1]) | {"pixel_pro_glass"}
    assert oracle["last"]["image_auroc"] == pytest.approx(totals[4][1]["image_auroc"], abs=1e-9)
    assert all(name.startswith("oracle_") for name in oracle["metrics"])


def every(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(True, index=rows.index)


def test_a_model_without_kept_epochs_is_named(model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("epochs"))
    with pytest.raises(UserError, match=r"bare: keeps no epochs, .+ `training\.keep_every`"):
        metrics(bare, tmp_path / "out", "paper")


def test_the_protocol_without_kept_epochs_stops_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"`evaluation\.protocol` is 'paper', .+ set it to 1"):
        run_stage(evaluate.main, {"evaluation": {"protocol": "paper"}}, *"abcd")


# Pixels left of a disc in a 1024² image at 288², by truncation and by half:
# `docs/spec/glass.md` §2.3.
@pytest.mark.parametrize(("radius", "whole", "half"), [(10, 10, 26), (5, 0, 4), (40, 328, 394)])
def test_truncated_masks_lose_what_the_specification_measured(
    radius: int, whole: int, half: int
) -> None:
    y, x = np.ogrid[:1024, :1024]
    disc = (y - 512) ** 2 + (x - 512) ** 2 <= radius**2
    framing = Framing.square(288, "squash")
    assert mask_to_model(framing, disc, (288, 288), above=254).sum() == whole
    assert mask_to_model(framing, disc, (288, 288)).sum() == pytest.approx(half, abs=3)


def test_components_are_normalised_over_the_set_then_weighed(tmp_path: Path) -> None:
    masks = [np.zeros((4, 4), bool)] * 3
    random = np.random.default_rng(0)
    first, second = (list(random.normal(5, 3, (3, 4, 4)).astype(np.float32)) for _ in range(2))
    parts = [predictions(tmp_path, maps, masks) for maps in (first, second)]
    both = AuthorProtocol(note="", scorings=((1.0, 0.0), (1.0, 0.2)))
    alone, mixed = combine(parts, both)

    def scaled(values: Any) -> np.ndarray:
        values = np.asarray(values, np.float64)
        return (values - values.min()) / (values.max() - values.min() + 1e-8)

    expected = scaled(parts[0].scores) + 0.2 * scaled(parts[1].scores)
    np.testing.assert_allclose(mixed.scores, expected, rtol=1e-12)
    np.testing.assert_allclose(alone.scores, scaled(parts[0].scores), rtol=1e-12)
    whole = np.stack([mixed.maps[k] for k in range(3)])
    np.testing.assert_allclose(whole, scaled(first) + 0.2 * scaled(second), rtol=1e-6)
    assert combine(parts[:1], AuthorProtocol(note=""))[0] is parts[0]


def test_of_two_scorings_the_larger_rounded_auroc_is_taken(model: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    masks = [np.zeros((16, 16), bool) for _ in range(8)]
    for number in range(4):
        masks[number][4:9, 4:9] = True
    # The second component knows the images, the first one the pixels.
    seen = [(random.random((16, 16)) / 2 + mask).astype(np.float32) for mask in masks]
    blind = [random.random((16, 16)).astype(np.float32) for _ in masks]
    scores = [random.random(8), np.array([0.9, 0.8, 0.7, 0.2, 0.3, 0.1, 0.05, 0.15])]
    parts = [
        replace(predictions(tmp_path, maps, masks), scores=own)
        for maps, own in zip((seen, blind), scores, strict=True)
    ]
    method, _ = load(model, torch.device("cpu"))
    before = {name: one.clone() for name, one in method.state_dict().items()}
    framing = Framing.square(16, "squash")
    method.framing = framing
    protocol = AuthorProtocol(note="two", scorings=((1.0, 0.0), (0.0, 1.0)))
    found = as_published(method, protocol, model, parts[0], lambda _: parts, every, "pixel")
    # One of the 4 · 4 pairs of the second component is the wrong way round: 0.9375.
    assert found["metrics"] == {"oracle_image_auroc": 0.938, "oracle_pixel_auroc": 1.0}
    assert (found["epoch"], found["epochs"]) == (None, None)
    assert set(found["last"]) == {"image_auroc", "pixel_auroc"}
    assert found["last"]["image_auroc"] < 0.9
    assert all((before[name] == one).all() for name, one in method.state_dict().items())


def test_a_defect_that_vanishes_with_its_mask_counts_as_good(model: Path, tmp_path: Path) -> None:
    masks = [np.zeros((64, 64), bool) for _ in range(4)]
    masks[0][10:40, 10:40] = True
    masks[1][5, 5] = True  # a pixel of 16 × 16 holds sixteen of these
    maps = [np.full((16, 16), value, np.float32) for value in (0.9, 0.1, 0.5, 0.3)]
    for one in maps:
        one[0, 0] -= 0.05
    tested = predictions(tmp_path, maps, masks)
    assert tested.rows["label"].tolist() == [1, 1, 0, 0]
    method, _ = load(model, torch.device("cpu"))
    method.framing = Framing.square(16, "squash")
    strict, folder = (
        as_published(
            method, AuthorProtocol(note="", labels_from_masks=by_mask), model, tested,
            lambda _: [tested], every, "pixel",
        )["metrics"]["oracle_image_auroc"]
        for by_mask in (True, False)
    )  # fmt: skip
    assert (strict, folder) == (1.0, 0.5)


@pytest.mark.parametrize("name", METHODS)
def test_the_registry_knows_which_methods_choose_an_epoch(name: str) -> None:
    from tests.methods.tiny import tiny

    with params_folder({name: tiny(name).params}):
        protocol = new(name, load_params().method(name)).author_protocol("elpv/mono")
    assert METHODS[name].chooses_epoch == bool(protocol and protocol.chosen_by)


def test_ignored_pixels_are_out_of_the_authors_numbers_too(tmp_path: Path) -> None:
    unit = ignoring_unit()
    changes = {"glass": GLASS, "training": PARAMS["training"] | {"keep_every": 2}}
    run_stage(train.main, changes, NAME, "glass", "0", *unit.inputs, tmp_path / "model")
    paper = {"evaluation": PARAMS["evaluation"] | {"protocol": "paper"}}
    folders = (unit.prepared, unit.synthetic, tmp_path / "out")
    run_stage(evaluate.main, changes | paper, tmp_path / "model", *folders)
    oracle = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["oracle"]
    assert 0 <= oracle["metrics"]["oracle_pixel_auroc"] <= 1
    assert oracle["metrics"][f"oracle_{GLASS_PRO}"] is None
    method, _ = load(tmp_path / "model", torch.device("cpu"))
    manifest = read_manifest(unit.prepared)
    test = score_images(method, manifest, manifest.of("test"), "test")
    sample = test.sample(0, "model")
    assert sample.judged is not None
    assert sample.judged.mean() == pytest.approx(1 - 28 / 96, abs=1 / 64)
