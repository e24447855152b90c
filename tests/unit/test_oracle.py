"""Protocol `paper`: the best epoch on the test set, and PRO as GLASS's code computes it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file

from blemish.data.images import Framing
from blemish.errors import UserError
from blemish.evaluation.oracle import pro_of_glass
from blemish.evaluation.predictions import Predictions
from stages import evaluate, train
from tests.units import NAME, PARAMS, run_stage, tiny_unit


def predictions(folder: Path, maps: list[np.ndarray], masks: list[np.ndarray]) -> Predictions:
    rows = []
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{number}.png")
        rows.append({
            "image": f"{number}.jpg", "mask": f"{number}.png", "label": int(mask.any()),
            "defect": "spot", "slice": "", "height": mask.shape[0], "width": mask.shape[1],
        })  # fmt: skip
    framing = Framing(maps[0].shape[0], "squash")
    scores = np.array([float(one.max()) for one in maps])
    return Predictions(pd.DataFrame(rows), scores, maps, framing.to_original, folder)


def plain_pro(maps: list[np.ndarray], masks: list[np.ndarray]) -> float:
    """One region a mask, loops instead of arrays."""
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    points = []
    for threshold in np.arange(low, high, (high - low) / 200):
        false = normal = 0
        shares = []
        for anomaly_map, mask in zip(maps, masks, strict=True):
            above = anomaly_map > threshold
            false += (above & ~mask).sum()
            normal += (~mask).sum()
            if mask.any():
                rows, columns = np.nonzero(mask)
                near = [
                    above[max(0, r - 2) : r + 3, max(0, c - 2) : c + 3].any()
                    for r, c in zip(rows, columns, strict=True)
                ]
                shares.append(np.mean(near))
        points.append((false / normal, np.mean(shares)))
    kept = sorted(point for point in points if point[0] < 0.3)
    x, y = np.array(kept).T
    x = (x - x.min()) / (x.max() - x.min())
    return float(sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1)))


def test_pro_of_glass_is_that_of_its_description(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    masks = [np.zeros((32, 32), bool) for _ in range(3)]
    masks[1][5:9, 5:9] = True
    masks[2][10:18, 12:20] = True
    # Smooth, so that a dilated prediction does not cover everything at once.
    fields = [cv2.GaussianBlur(random.random((32, 32)), (0, 0), 6) for _ in masks]
    maps = [
        ((field - field.min()) / np.ptp(field) + 0.15 * mask).astype(np.float32)
        for field, mask in zip(fields, masks, strict=True)
    ]
    found = pro_of_glass(predictions(tmp_path, maps, masks), range(3))
    expected = plain_pro(maps, masks)
    assert 0.2 < expected < 0.98
    assert found == pytest.approx(expected, abs=1e-9)


def test_pro_of_glass_is_undefined_without_regions_or_spread(tmp_path: Path) -> None:
    flat = [np.zeros((8, 8), np.float32)] * 2
    nothing = [np.zeros((8, 8), bool)] * 2
    assert pro_of_glass(predictions(tmp_path, flat, nothing), range(2)) is None
    noise = [np.random.default_rng(1).random((8, 8)).astype(np.float32)] * 2
    assert pro_of_glass(predictions(tmp_path, noise, nothing), range(2)) is None


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
    folders = (unit.prepared, unit.synthetic, unit.textures)
    run_stage(train.main, changes, NAME, "glass", "0", *folders, out)
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
    totals = {}
    for file in sorted((model / "epochs").iterdir()):
        alone = tmp_path / file.stem
        shutil.copytree(model, alone)
        shutil.copyfile(file, alone / "model.safetensors")
        unit = tiny_unit()
        changes = {"evaluation": PARAMS["evaluation"] | {"resolution": "model"}}
        run_stage(evaluate.main, changes, alone, unit.prepared, unit.synthetic, alone / "out")
        found = json.loads((alone / "out" / "metrics.json").read_text())["metrics"]
        totals[int(file.stem)] = found["image_auroc"] + found["pixel_auroc"], found
    best = max(totals, key=lambda epoch: (totals[epoch][0], -epoch))
    assert (oracle["epoch"], oracle["epochs"]) == (best, 2)
    for name, value in totals[best][1].items():
        assert oracle["metrics"][f"oracle_{name}"] == pytest.approx(value, abs=1e-6)
    assert set(oracle["last"]) == set(totals[best][1]) | {"pixel_pro_glass"}
    assert all(name.startswith("oracle_") for name in oracle["metrics"])


def test_a_model_without_kept_epochs_is_named(model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("epochs"))
    with pytest.raises(UserError, match=r"bare: keeps no epochs, .+ `training\.keep_every`"):
        metrics(bare, tmp_path / "out", "paper")


def test_the_protocol_without_kept_epochs_stops_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"`evaluation\.protocol` is 'paper', .+ set it to 1"):
        run_stage(evaluate.main, {"evaluation": {"protocol": "paper"}}, *"abcd")
