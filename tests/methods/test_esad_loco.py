"""LOCO: structural, logical and joint numbers with sPRO from one model of a category.

The archive is a miniature in the exact published layout, with defects painted where its channels
say; it is fetched, prepared, trained on and evaluated by the stages' own functions.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from blemish.core.params import DataParams
from blemish.datasets.dataset import data_set, split_unit
from blemish.images.manifest import read_manifest
from blemish.prepare.unit import prepare
from stages import synthesize
from tests.methods.tiny import TINY
from tests.miniatures import layouts
from tests.miniatures.paint import SIZE, pack
from tests.units import NO_CROPS, Unit, evaluate_model, run_stage, texture_bank, train_model

CATEGORY = "screw_bag"
NAMES = ("loco", "loco-structural", "loco-logical")
SPRO = ("pixel_spro", "pixel_spro_0.01", "pixel_spro_0.1", "pixel_spro_0.3", "pixel_spro_1")


def paint(archive: Path) -> None:
    """Grey pictures with a little noise; white where a structural channel is, darker where a
    logical one is."""
    random = np.random.default_rng(0)
    top = archive / CATEGORY
    for file in sorted(top.glob("*/*/*.png")):
        if file.parts[-3] == "ground_truth":
            continue
        picture = random.normal(120, 8, SIZE[::-1])
        kind = file.parent.name
        for channel in sorted((top / "ground_truth" / kind / file.stem).glob("*.png")):
            inside = np.asarray(Image.open(channel)) > 0
            picture[inside] = 250 if kind == "structural_anomalies" else 95
        grey = picture.clip(0, 255).astype(np.uint8)
        Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2)).save(file)


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Unit]:
    """The three registered forms of the set, prepared from one archive."""
    root = tmp_path_factory.mktemp("loco")
    layouts.loco(root / "built")
    paint(root / "built")
    pack(root / "built", root / "mirror" / "mvtec_loco_anomaly_detection.tar.xz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLEMISH_MIRROR", str(root / "mirror"))
        patch.chdir(root)
        # The published checksum and size are those of six gigabytes.
        patch.setattr("blemish.download.fetch.fault", lambda *_: "")
        return {name: prepared(name, root) for name in NAMES}


def prepared(name: str, root: Path) -> Unit:
    found, category = data_set(name, {}), split_unit(f"{name}/{CATEGORY}")[1]
    unit, raw = Unit(root / name), root / name / "raw"
    raw.mkdir(parents=True)
    found.fetch(category, raw)
    unit.prepared.mkdir(parents=True)
    prepare(found, category, raw, DataParams(), unit.prepared)
    unit.textures.symlink_to(texture_bank())
    run_stage(synthesize.main, {}, unit.prepared, unit.textures, NO_CROPS, unit.synthetic)
    return unit


@pytest.fixture(scope="module")
def results(units: dict[str, Unit]) -> dict[str, Any]:
    """What one model, trained on `loco`, gets on each of the three."""
    unit = units["loco"]
    model = train_model(unit, "esad", unit.root / "model", TINY["esad"].params)
    found = {}
    for name, one in units.items():
        folder = evaluate_model(one, model, one.root / "results")
        found[name] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        found[name]["scores"] = pd.read_parquet(folder / "scores.parquet")
    return found


def test_the_published_validation_normals_set_the_threshold(units, results) -> None:
    manifest = read_manifest(units["loco"].prepared)
    assert len(manifest.of("train")) == 6
    assert len(manifest.of("val")) == results["loco"]["threshold"]["validation_normals"] == 2
    assert results["loco"]["counts"] == {
        "train": 6, "val": 2, "test_good": 2, "test_defective": 7,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["structural", "logical"])
def test_a_slice_is_the_run_on_its_anomalies_alone(results, kind: str) -> None:
    """One training serves both: a slice has the numbers that the set of that kind would give."""
    own, alone = results["loco"]["slices"][kind], results[f"loco-{kind}"]
    assert (
        own["count"] == alone["counts"]["test_defective"] == {"structural": 3, "logical": 4}[kind]
    )
    assert own["image_auroc"] == alone["metrics"]["image_auroc"]
    for name in (*SPRO, "pixel_auroc", "pixel_aupro"):
        # Histograms of other images have other bins.
        assert own[name] == pytest.approx(alone["metrics"][name], abs=1e-3), name
        assert 0 <= own[name] <= 1


def test_the_joint_numbers_are_of_both_kinds(results) -> None:
    joint, table = results["loco"], results["loco"]["scores"]
    main = table[table["headline"]]
    assert len(main) == 9
    expected = roc_auc_score(main["label"], main["score"])
    assert joint["metrics"]["image_auroc"] == pytest.approx(expected, abs=1e-12)
    slices = joint["slices"]
    for name in SPRO:
        mean = (slices["structural"][name] + slices["logical"][name]) / 2
        assert joint["metrics"][name] == pytest.approx(mean, abs=1e-12)
    assert "sPRO is the mean of the slices logical and structural" in " ".join(joint["notes"])


def test_a_defect_far_from_normal_is_found(results) -> None:
    """White patches: even two epochs tell them from grey noise."""
    structural = results["loco"]["slices"]["structural"]
    assert structural["image_auroc"] == 1.0
    assert structural["pixel_spro_1"] > 0.8
