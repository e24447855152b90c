"""`blemish profile paper` runs: every method's published networks, from training to evaluation.

Through the stages' own functions, on the smallest unit there can be: two training normals, one
held out, a good and a defective test image. What is reduced, since this is a CPU: random weights
for the backbone's, one epoch, and the images of DSARAD, 64 pixels a side for 256, and of dlas_lcd,
256 for 512. All widths stay.
"""

import json
import shutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors import safe_open

from blemish.core.profiles import apply_profile, set_params
from blemish.images.manifest import Manifest, read_manifest, write_manifest
from blemish.methods.registry import METHODS
from blemish.synthesis.recipes import read_recipes, write_recipes
from stages import evaluate, train
from tests.units import NAME, Unit, scratch, tiny_unit

ROOT = Path(__file__).resolve().parents[2]
REDUCED: dict[str, dict[str, Any]] = {
    **{method: {"weights": "random", "epochs": 1} for method in METHODS},
    "dlas_lcd": {"weights": "random", "epochs": 1, "image_size": 256},
    "dsarad": {"epochs": 1, "image_size": 64},
    "patchcore": {"weights": "random"},
}
# Millions of numbers in a model: what the papers' networks have, so that a narrow one is seen.
LEAST = {"glass": 3.9, "dlas": 3.9, "dlas_lcd": 3.9, "esad": 2.0, "dsarad": 40.0, "dmad": 60.0}


def keep(manifest: Manifest, rows: pd.DataFrame) -> None:
    """Write a manifest of some of its rows."""
    plain = rows.astype(object).where(rows.notna(), None)
    write_manifest(plain.to_dict("records"), manifest.facts, manifest.root / "manifest.parquet")


@cache
def smallest_unit() -> Unit:
    unit = tiny_unit().copy(scratch() / "smallest")
    prepared, synthetic = read_manifest(unit.prepared), read_manifest(unit.synthetic)
    normals = prepared.of("train", 0).head(2)
    main = prepared.of("test")
    main = main[main["slice"] == ""]
    tested = [main[main["label"] == label].head(1) for label in (0, 1)]
    keep(prepared, pd.concat([normals, prepared.of("val", 0).head(1), *tested]))
    made = [synthetic.of(split).head(1) for split in ("validation", "weak")]
    keep(synthetic, pd.concat(made))
    recipes = read_recipes(unit.synthetic / "recipes.parquet")
    chosen = recipes[recipes["image"].isin(normals["image"])]
    write_recipes(chosen, unit.synthetic / "recipes.parquet")
    return unit


def paper_params(method: str, folder: Path) -> None:
    """params.yaml as `blemish profile paper` leaves it, with `REDUCED` and short reports."""
    target = folder / "params.yaml"
    shutil.copyfile(ROOT / "params.yaml", target)
    apply_profile("paper", ROOT / "profiles", target)
    changes = [f"{method}.{key}={value}" for key, value in REDUCED[method].items()]
    set_params(
        [*changes, "training.device=cpu", "evaluation.heatmaps=1", "evaluation.animation=0"], target
    )


def published_params(method: str) -> dict[str, Any]:
    """The defaults of the code, without what a unit's name decides."""
    params = import_module(f"blemish.methods.{method}.params").Params()
    return params.model_dump(mode="json", exclude={"variant", "enlarge"})


@pytest.mark.parametrize("method", METHODS)
def test_the_published_networks_train_and_are_evaluated(method: str, tmp_path, monkeypatch) -> None:
    unit = smallest_unit()
    paper_params(method, tmp_path)
    monkeypatch.chdir(tmp_path)
    train.main(NAME, method, "0", *map(str, unit.inputs), "model")
    evaluate.main("model", str(unit.prepared), str(unit.synthetic), "results")

    record = json.loads(Path("model/model.json").read_text(encoding="utf-8"))
    expected = published_params(method) | REDUCED[method]
    assert {key: record["params"][key] for key in expected} == expected
    with safe_open("model/model.safetensors", framework="pt") as file:
        numbers = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    assert numbers >= LEAST.get(method, 0.0) * 1e6
    curves = pd.read_csv("model/curves.csv")
    assert len(curves) == (20 if method == "patchcore" else 1)
    assert curves.notna().all(axis=None)
    metrics = json.loads(Path("results/metrics.json").read_text(encoding="utf-8"))
    assert 0 <= metrics["metrics"]["image_auroc"] <= 1
    assert 0 <= metrics["metrics"]["pixel_auroc"] <= 1
