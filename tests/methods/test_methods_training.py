"""Every registered method: what its training gives, and what it refuses."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, load_params
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from tests.methods.tiny import TINY, every_method, tiny, trained
from tests.models import new
from tests.scoring import score_all
from tests.units import NAME, bytes_of, params_folder, tiny_unit, train_model


@every_method
def test_a_trained_model_is_complete(method: str) -> None:
    folder = trained(method)
    assert set(bytes_of(folder)) == {"model.safetensors", "model.json", "curves.csv"}
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert set(record) == {
        "format", "method", "unit", "seed", "params", "framing", "framing_reason", "levels",
        "facts", "validation", "looks", "versions",
    }  # fmt: skip
    assert (record["method"], record["unit"], record["seed"]) == (method, NAME, 0)
    assert record["params"] | tiny(method).params == record["params"]
    scores = record["validation"]["normal_scores"]
    assert len(scores) == 3
    assert scores == sorted(scores)
    curves = pd.read_csv(folder / "curves.csv")
    assert curves.columns[0] == "epoch"
    assert len(curves.columns) > 1
    assert curves["epoch"].tolist() == list(range(1, len(curves) + 1))
    assert np.isfinite(curves.to_numpy()).all()


@every_method
def test_same_seed_same_bytes_other_seed_other_model(method: str, tmp_path) -> None:
    torch.manual_seed(99)  # the global generators have no part in it
    np.random.seed(99)
    params = tiny(method).params
    again = train_model(tiny_unit(), method, tmp_path / "again", params, seed=0)
    assert bytes_of(again) == bytes_of(trained(method))
    other = trained(method, seed=1)
    for name in ("model.safetensors", "curves.csv"):
        assert (other / name).read_bytes() != (again / name).read_bytes()


@every_method
def test_training_opens_no_test_image(method: str, tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    for folder in ("test", "ground_truth"):
        shutil.rmtree(unit.prepared / folder)
    for folder in ("validation", "weak-0.3", "weak-0.7"):
        shutil.rmtree(unit.synthetic / folder)
    blind = train_model(unit, method, tmp_path / "model", tiny(method).params)
    assert bytes_of(blind) == bytes_of(trained(method))


@every_method
def test_a_loss_that_overflows_stops_with_advice_and_leaves_nothing(method: str, tmp_path) -> None:
    if not tiny(method).diverging:
        pytest.skip(f"{method} has no loss")
    params = tiny(method).params | tiny(method).diverging
    message = rf"{NAME} {method} seed 0: the loss is not a number in epoch \d: lower the learning"
    with pytest.raises(UserError, match=message):
        train_model(tiny_unit(), method, tmp_path / "models" / "model", params)
    assert list((tmp_path / "models").iterdir()) == []


class Interrupted(Exception):
    """What ends a training early in the next test."""


@every_method
def test_a_training_that_ends_early_leaves_the_model_before_it(
    method: str, tmp_path, monkeypatch
) -> None:
    out = tmp_path / "models" / "model"
    shutil.copytree(trained(method), out)

    def stop(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(Loop, "write_curves", stop)
    with pytest.raises(Interrupted):
        train_model(tiny_unit(), method, out, tiny(method).params, seed=1)
    assert list(out.parent.iterdir()) == [out]
    assert bytes_of(out) == bytes_of(trained(method))


@every_method
def test_a_method_with_a_mix_of_its_own_trains_on_it(method: str, tmp_path) -> None:
    record = json.loads((trained(method) / "model.json").read_text(encoding="utf-8"))
    if "kinds" not in record["params"]:
        pytest.skip(f"{method} takes no mix of kinds")
    params = tiny(method).params | {"kinds": {"cutpaste": 1.0}}
    other = train_model(tiny_unit(), method, tmp_path / "model", params)
    name = "model.safetensors"
    assert (other / name).read_bytes() != (trained(method) / name).read_bytes()


@every_method
def test_a_damaged_training_image_is_named(method: str, tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    image = next((unit.prepared / "train" / "good").iterdir())
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(UserError, match=f"{image.name}: not a whole image"):
        train_model(unit, method, tmp_path / "models" / "model", tiny(method).params)
    assert list((tmp_path / "models").iterdir()) == []


@every_method
def test_two_training_images_are_enough(method: str) -> None:
    whole = tiny_unit().open()
    kept = whole.manifest.rows.groupby("split", sort=False).head(2).reset_index(drop=True)
    manifest = type(whole.manifest)(kept, whole.manifest.facts, whole.manifest.root)
    names = manifest.of("train", 0)["image"]
    recipes = whole.recipes[whole.recipes["image"].isin(names)].reset_index(drop=True)
    small = replace(whole, manifest=manifest, recipes=recipes)
    with params_folder({method: tiny(method).params}):
        found = new(method, load_params().method(method))
    trainer_of(found).fit(small, Loop(TrainingParams(device="cpu", threads=1), 0, "two"))
    _, scores = score_all(found, small.normals(found.framing)[:])
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": [16, 8]}, r"`glass`: `strides` must ascend, finest first: \[16, 8\]"),
        ({"strides": [8, 8]}, r"`strides` must ascend"),
        ({"band": [2.0, 1.0]}, r"lower bound of `band` exceeds the upper one: \[2.0, 1.0\]"),
        ({"image_size": 100}, r"`glass.image_size` is 100"),
        ({"strides": [12]}, r"backbone 'efficientnet_lite0' has no level of stride 12"),
    ],
)
def test_impossible_settings_of_glass_are_named(tmp_path, change, message: str) -> None:
    out = tmp_path / "models" / "model"
    with pytest.raises(UserError, match=message):
        train_model(tiny_unit(), "glass", out, TINY["glass"].params | change)
    assert not out.parent.exists()  # known before anything is read or written
