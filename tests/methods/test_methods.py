"""Every registered method: train, save, load, score; determinism; damaged files; bad input.

A new method needs an entry in `TINY`, nothing else, to be covered.
"""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, load_params
from blemish.images.store import load_images
from blemish.methods.detector import create, score_all, views_of
from blemish.methods.loop import Loop
from blemish.methods.registry import METHODS
from blemish.methods.saved import load, save
from blemish.methods.trainer import trainer_of
from tests.units import NAME, bytes_of, params_folder, scratch, tiny_unit, train_model

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Tiny:
    """Parameters that train in a second, and changes that make the loss overflow, if one may."""

    params: dict[str, Any]
    diverging: dict[str, Any]


TINY = {
    "glass": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16],
            "image_size": 64, "resize": "squash", "pretrain_dim": 24, "target_dim": 16,
            "hidden": 16, "variant": "manifold", "standardise": True, "noise": 0.5, "epochs": 2,
            "average_last": 1, "batch_size": 4, "images_per_epoch": 8, "ascent_steps": 3,
        },
        diverging={"learning_rate": 1e30},
    ),
    "dlas": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64,
            "resize": "squash", "pretrain_dim": 24, "target_dim": 16, "hidden": 16,
            "variant": "judge", "enlarge": 1.0, "epochs": 2, "batch_size": 4, "images_per_epoch": 8,
        },
        diverging={"learning_rate": 1e30},
    ),
    "dlas_lcd": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16],
            "image_size": 64, "pretrain_dim": 24, "target_dim": 16, "hidden": 16,
            "variant": "manifold", "enlarge": 1.0, "standardise": True, "noise": 0.5, "epochs": 2,
            "batch_size": 4, "images_per_epoch": 8, "ascent_steps": 3, "coherent_directions": 8,
            "top_cells": 3,
        },
        diverging={"learning_rate": 1e30},
    ),
    "patchcore": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16],
            "image_size": 64, "resize": "squash", "pretrain_dim": 24, "target_dim": 16,
            "projection": 8, "coreset": 0.1, "neighbours": 3,
        },
        diverging={},
    ),
    "esad": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64, "width": 4,
            "cells": [4, 8], "window": 5, "draws": 1, "epochs": 2, "batch_size": 4,
            "images_per_epoch": 8, "select": "validation",
        },
        diverging={"learning_rate": 1e38},
    ),
    "dsarad": Tiny(
        params={
            "image_size": 64, "width": 4, "segmenter_width": 4, "epochs": 2, "teacher_epochs": 1,
            "milestones": [0.5], "learning_rate": 0.001, "score_boxes": [5],
        },
        diverging={"learning_rate": 1e30},
    ),
    "dmad": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64, "codes": 12,
            "compressed": 8, "decoder_blocks": [1, 1, 1], "offset_width": 4, "epochs": 2,
        },
        diverging={"learning_rate": 1e30},
    ),
}  # fmt: skip


def tiny(method: str) -> Tiny:
    if method not in TINY:
        pytest.fail(f"`{method}` is registered: give it an entry in TINY of {Path(__file__).name}")
    return TINY[method]


@cache
def trained(method: str, seed: int = 0) -> Path:
    """The folder of a model; shared, so copy it before changing anything."""
    out = scratch() / "models" / f"{method}-{seed}"
    return train_model(tiny_unit(), method, out, tiny(method).params, seed)


def pictures(method: str) -> torch.Tensor:
    """Test images, as the method wants them."""
    found, _ = load(trained(method), CPU)
    root = tiny_unit().prepared
    paths = sorted((root / "test").rglob("*.png"))
    return load_images(paths, found.framing, "reading")


every_method = pytest.mark.parametrize("method", METHODS)


@every_method
def test_a_trained_model_is_complete(method: str) -> None:
    folder = trained(method)
    assert set(bytes_of(folder)) == {"model.safetensors", "model.json", "curves.csv"}
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert set(record) == {
        "format", "method", "unit", "seed", "params", "preprocessing", "facts", "validation",
        "versions",
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
def test_what_is_loaded_scores_like_what_was_trained(method: str, tmp_path) -> None:
    unit, section = tiny_unit().open(), tiny(method).params
    with params_folder({method: section}):
        fresh = create(method, load_params().method(method), seed=0)
    trainer_of(fresh).fit(unit, Loop(TrainingParams(device="cpu", threads=1), 0, "tiny"))
    images = pictures(method)
    maps, scores = score_all(fresh, images, "scoring")
    normal_maps = np.array([[[0, 1, 2, 9]], [[1, 1, 3, 3]], [[0, 0, 0, 0.5]]], np.float32)
    save(fresh, tmp_path, NAME, normal_maps, np.array([0.5, 0.25, 0.75]))
    loaded, record = load(tmp_path, CPU)
    loaded_maps, loaded_scores = score_all(loaded, images, "scoring")
    assert maps.tobytes() == loaded_maps.tobytes()
    assert scores.tobytes() == loaded_scores.tobytes()
    assert (record.method, record.unit, record.seed) == (method, NAME, 0)
    assert record.validation.normal_scores == [0.25, 0.5, 0.75]
    assert record.validation.map_maxima == [0.5, 3.0, 9.0]
    assert record.validation.map_level == 1.5  # the median of 1.5, 2 and 0
    assert record.validation.map_threshold(0.34) == 3.0
    assert record.validation.map_threshold(0.33) == 9.0
    # The stage trained the same model.
    name = "model.safetensors"
    assert (tmp_path / name).read_bytes() == (trained(method) / name).read_bytes()


@every_method
def test_maps_and_scores_have_the_promised_form(method: str) -> None:
    found, _ = load(trained(method), CPU)
    images = pictures(method)
    maps, scores = score_all(found, images, "scoring")
    size = found.framing.size
    assert maps.shape == (len(images), size, size)
    assert (maps.dtype, scores.dtype) == (np.float32, np.float64)
    assert np.isfinite(maps).all()
    assert len(set(scores)) == len(scores)
    assert maps.std(axis=(1, 2)).min() > 0
    maps, scores = score_all(found, images[:0], "scoring")
    assert (maps.shape, scores.shape) == ((0, size, size), (0,))


@every_method
def test_validation_scores_are_those_of_the_validation_normals(method: str) -> None:
    found, record = load(trained(method), CPU)
    normals = tiny_unit().open().normals(found.framing, "val")
    maps, scores = score_all(found, normals, "scoring")
    assert record.validation.normal_scores == sorted(scores)
    assert record.validation.map_maxima == sorted(maps.max(axis=(1, 2)).tolist())


@every_method
def test_a_score_does_not_depend_on_the_company(method: str) -> None:
    found, _ = load(trained(method), CPU)
    images = pictures(method).repeat(2, 1, 1, 1)
    maps, scores = score_all(found, images, "scoring")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    mixed_maps, mixed_scores = score_all(found, images[order], "scoring")
    assert mixed_scores.tobytes() == scores[order].tobytes()
    assert mixed_maps.tobytes() == maps[order].tobytes()
    for batch in (1, 4, 7):
        parts = [score_all(found, part, "scoring")[1] for part in images.split(batch)]
        assert np.concatenate(parts).tobytes() == scores.tobytes()


@every_method
def test_predict_takes_every_model(method: str, tmp_path) -> None:
    folder, test = trained(method), tiny_unit().prepared / "test"
    words = ["predict", str(folder), str(test), "--scores", str(tmp_path / "s.csv"), "--device=cpu"]
    done = CliRunner().invoke(app, [*words, "--labelme", str(tmp_path / "labelme")])
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "s.csv")
    _, scores = score_all(load(folder, CPU)[0], pictures(method), "scoring")
    assert sorted(found["score"]) == sorted(scores)
    files = sorted((tmp_path / "labelme").rglob("*.json"))
    shapes = [len(json.loads(file.read_text(encoding="utf-8"))["shapes"]) for file in files]
    assert sum(shapes) == found["regions"].sum()


@every_method
def test_views_are_pictures_of_each_image_alone(method: str) -> None:
    found, _ = load(trained(method), CPU)
    images = pictures(method)[:3]
    alone = [views_of(found, image) for image in images]
    with torch.inference_mode():
        together = found.views(images)
    assert all(caption.strip() for caption in together)
    for number, one in enumerate(alone):
        again = views_of(found, images[number])
        assert list(one) == list(again) == list(together)
        for caption, picture in one.items():
            assert np.array_equal(picture, again[caption])
            company = together[caption][number].permute(1, 2, 0).numpy()
            assert np.abs(picture.astype(int) - company).max() <= 2  # rounding may differ


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
def test_images_of_another_size_or_type_are_refused(method: str) -> None:
    found, _ = load(trained(method), CPU)
    size = found.framing.size
    right = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    wrong = [
        torch.zeros(2, 3, size + 32, size + 32, dtype=torch.uint8),
        torch.zeros(2, 3, size, size // 2, dtype=torch.uint8),
        torch.zeros(2, 1, size, size, dtype=torch.uint8),
        torch.zeros(3, size, size, dtype=torch.uint8),
        right.float() / 255,
    ]
    score_all(found, right, "scoring")
    for images in wrong:
        with pytest.raises(ValueError, match=rf"takes \(N, 3, {size}, {size}\) uint8"):
            score_all(found, images, "scoring")


@every_method
def test_a_loss_that_overflows_stops_with_advice_and_leaves_nothing(method: str, tmp_path) -> None:
    if not tiny(method).diverging:
        pytest.skip(f"{method} has no loss")
    params = tiny(method).params | tiny(method).diverging
    message = rf"{NAME} {method} seed 0: the loss is not a number in epoch \d: lower the learning"
    with pytest.raises(UserError, match=message):
        train_model(tiny_unit(), method, tmp_path / "models" / "model", params)
    assert list((tmp_path / "models").iterdir()) == []


@every_method
def test_a_score_that_is_no_number_is_not_saved(method: str, tmp_path) -> None:
    found, _ = load(trained(method), CPU)
    with pytest.raises(UserError, match=f"{method} seed 0: a validation normal scored NaN"):
        save(found, tmp_path, NAME, np.zeros((2, 4, 4), np.float32), np.array([0.5, np.nan]))
    with pytest.raises(UserError, match=f"{method} seed 0: a validation normal scored NaN"):
        save(found, tmp_path, NAME, np.full((2, 4, 4), np.inf, np.float32), np.array([0.5, 0.5]))
    assert list(tmp_path.iterdir()) == []


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


def edit(**changes: Any) -> Callable[[Path], None]:
    """Damage by new values in model.json; None removes a key."""

    def change(folder: Path) -> None:
        path = folder / "model.json"
        record = json.loads(path.read_text(encoding="utf-8")) | changes
        kept = {key: value for key, value in record.items() if value is not None}
        path.write_text(json.dumps(kept), encoding="utf-8")

    return change


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def truncate(name: str, keep: float) -> Callable[[Path], object]:
    def cut(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(keep * len(whole))])

    return cut


class Bomb:
    """A pickle that would run code when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (exec, ("raise SystemError('a pickle was loaded')",))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model.json": (
        lambda folder: (folder / "model.json").unlink(),
        "model.json is missing: run",
    ),
    "no tensors": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "model.safetensors is missing: run",
    ),
    "half of model.json": (truncate("model.json", 0.5), "model.json: Invalid JSON"),
    "half of the tensors": (truncate("model.safetensors", 0.5), "model.safetensors: "),
    "no byte of the tensors": (truncate("model.safetensors", 0), "model.safetensors: "),
    "a few bytes of the tensors": (truncate("model.safetensors", 0.01), "model.safetensors: "),
    "model.json is a list": (overwrite("model.json", b"[]"), "model.json: Input should be"),
    "model.json is binary": (overwrite("model.json", b"\xff\xfe\x00"), "model.json: Invalid JSON"),
    "model.json is very deep": (
        overwrite("model.json", b"[" * 100_000),
        "model.json: Invalid JSON",
    ),
    "tensors are a pickle": (
        overwrite("model.safetensors", pickle.dumps(Bomb())),
        "model.safetensors: ",
    ),
    "another format": (edit(format=2), "format: Input should be 1"),
    "unknown method": (edit(method="nope"), "nope"),
    "a path as method": (edit(method="../../evil"), "method"),
    "a module as method": (edit(method="base"), "base"),
    "seed is text": (edit(seed="zero"), "seed"),
    "params of another version": (edit(params={"no_such_key": 1}), "no_such_key"),
    "scores are text": (edit(validation={"normal_scores": ["high"]}), "normal_scores.0"),
    "a score is no number": (edit(validation={"normal_scores": [float("nan")]}), "normal_scores"),
    "an unknown key": (edit(more=1), "more"),
} | {
    f"no {key}": (edit(**{key: None}), f"{key}: Field required")
    for key in ("method", "unit", "seed", "params", "facts", "validation")
}


@pytest.mark.parametrize("damage", DAMAGES)
@every_method
def test_a_damaged_model_is_one_clear_line(method: str, damage: str, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained(method), folder)
    spoil, named = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(UserError) as caught:
        load(folder, CPU)
    message = str(caught.value)
    assert str(folder) in message
    assert named in message
    assert "\n" not in message
    assert len(message) < 500


@every_method
def test_tensors_of_other_shapes_do_not_fit(method: str, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained(method), folder)
    other, _ = load(trained(method), CPU)
    key, value = max(other.state_dict().items(), key=lambda item: item[1].numel())
    tensors = {name: one.clone().contiguous() for name, one in other.state_dict().items()}
    save_file(tensors | {key: value[:-1].clone().contiguous()}, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"size mismatch for {key}"):
        load(folder, CPU)
    tensors.pop(key)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"Missing key.*{key}"):
        load(folder, CPU)


@every_method
def test_other_backbone_weights_are_refused(method: str, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained(method), folder)
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if "backbone_digest" not in record["facts"]:
        pytest.skip(f"{method} relies on no frozen backbone")
    edit(facts=record["facts"] | {"backbone_digest": "0" * 64})(folder)
    with pytest.raises(UserError, match="other backbone weights than are installed") as caught:
        load(folder, CPU)
    assert "\n" not in str(caught.value)


def test_glass_notices_that_real_weights_took_the_place_of_random_ones(tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained("glass"), folder)
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert record["params"]["weights"] == "random"
    edit(params=record["params"] | {"weights": "imagenet"})(folder)
    with pytest.raises(UserError, match="other backbone weights than are installed"):
        load(folder, CPU)


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


@every_method
def test_two_training_images_are_enough(method: str) -> None:
    whole = tiny_unit().open()
    kept = whole.manifest.rows.groupby("split", sort=False).head(2).reset_index(drop=True)
    manifest = type(whole.manifest)(kept, whole.manifest.facts, whole.manifest.root)
    names = manifest.of("train", 0)["image"]
    recipes = whole.recipes[whole.recipes["image"].isin(names)].reset_index(drop=True)
    small = replace(whole, manifest=manifest, recipes=recipes)
    with params_folder({method: tiny(method).params}):
        found = create(method, load_params().method(method), seed=0)
    trainer_of(found).fit(small, Loop(TrainingParams(device="cpu", threads=1), 0, "two"))
    _, scores = score_all(found, small.normals(found.framing), "scoring")
    assert np.isfinite(scores).all()
