"""What the stage `evaluate` writes: the formats, the headline, the threshold, known detectors."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from blemish.core.errors import UserError
from blemish.core.params import Section
from blemish.evaluation import maps
from blemish.evaluation.results import predict
from blemish.images.framing import Framing
from blemish.images.manifest import Facts, read_manifest, write_manifest
from blemish.images.reading import read_image
from blemish.methods.detector import Detector, create, score_all
from blemish.methods.loop import Loop
from blemish.methods.saved import load, save
from blemish.methods.training_data import TrainingUnit
from blemish.metrics.threshold import threshold_at
from tests.units import (
    NAME,
    Unit,
    bytes_of,
    evaluate_model,
    scratch,
    stripes,
    tiny_unit,
    write_unit,
)


class Params(Section):
    """`level` 255 finds the painted defects, which are pure white; 256 finds nothing."""

    level: int = 255
    size: int = 96
    resize: str = "squash"


class White(Detector):
    """A detector whose numbers are known: the map is where white begins, the score its maximum."""

    name = "white"

    def __init__(self, params: Params, seed: int) -> None:
        super().__init__(params, seed)
        self.framing = Framing(params.size, params.resize)
        self.scale = nn.Parameter(torch.ones(1))

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Nothing to learn."""

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        above = (images.float().mean(dim=1) - 220).clamp(min=0) / 35
        maps = above * (self.params.level == 255)
        return maps, maps.amax(dim=(1, 2)).double()

    def views(self, images: Tensor) -> dict[str, Tensor]:
        return {"as the network sees it": images, "negative": 255 - images[:, :, ::2, ::3]}


@pytest.fixture(autouse=True)
def white(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the detector importable as any method is: `blemish.methods.white`."""
    package = importlib.import_module("blemish.methods")
    modules = {"white": {}, "white.params": {"Params": Params}, "white.method": {"METHOD": White}}
    for name, content in modules.items():
        module = ModuleType(f"{package.__name__}.{name}")
        module.__dict__.update(content, __path__=[])
        monkeypatch.setitem(sys.modules, module.__name__, module)


def model(folder: Path, unit: Unit | None = None, **params: Any) -> Path:
    """A saved detector with the scores of the unit's validation normals."""
    folder.mkdir(parents=True)
    detector = create("white", Params(**params), 0)
    normals = (unit or tiny_unit()).open().normals(detector.framing, "val")
    save(detector, folder, NAME, *score_all(detector, normals, "scoring"))
    return folder


def results(
    tmp_path: Path, unit: Unit | None = None, evaluation: Any = None, **params: Any
) -> Path:
    unit = unit or tiny_unit()
    number = len(list(tmp_path.iterdir()))
    at = model(tmp_path / f"model-{number}", unit, **params)
    return evaluate_model(unit, at, tmp_path / f"results-{number}", **(evaluation or {}))


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def scores_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "scores.parquet")


IMAGE = {"image_auroc", "image_ap", "image_f1max", "image_fpr95"}
PIXEL = {"pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_fpr95", "pixel_aupro", "pixel_aupimo"}
SHORT = {"image_auroc", "pixel_auroc", "pixel_aupro", "pixel_aupimo"}


def test_metrics_json_has_the_keys_of_the_contract(tmp_path) -> None:
    found = metrics_of(results(tmp_path))
    assert set(found) == {
        "unit", "method", "seed", "protocol", "resolution", "input_size", "masks", "counts",
        "metrics", "intervals", "threshold", "by_defect", "slices", "by_area", "weak_curve",
        "validation", "notes",
    }  # fmt: skip
    assert set(found["counts"]) == {"train", "val", "test_good", "test_defective"}
    assert set(found["metrics"]) == IMAGE | PIXEL
    assert set(found["threshold"]) == {
        "image", "false_alarm_rate", "validation_normals", "expected_rate", "rate_low",
        "rate_high", "precision", "recall", "accuracy",
        "test_false_alarm_rate",
    }  # fmt: skip
    assert set(found["by_defect"]) == {"spot", "line"}
    for one in found["by_defect"].values():
        assert set(one) == {"count", "recall"} | SHORT
    assert set(found["intervals"]) == (IMAGE | PIXEL) - {"pixel_aupimo"}
    for name, (low, high) in found["intervals"].items():
        assert low - 0.002 <= found["metrics"][name] <= high + 0.002
    assert set(found["slices"]) == {"doubtful", "weak-0.3", "weak-0.7", "visibility-0.5"}
    for one in found["slices"].values():
        assert set(one) == {"count"} | SHORT
    assert set(found["validation"]) == SHORT - {"pixel_aupimo"}
    facts = {
        "unit": NAME, "method": "white", "seed": 0, "protocol": "honest",
        "resolution": "original", "input_size": [96, 96], "masks": "pixel",
        "counts": {"train": 11, "val": 3, "test_good": 6, "test_defective": 9},
    }  # fmt: skip
    assert found | facts == found
    assert "Painted for tests." in found["notes"]
    for group in (found["metrics"], found["validation"], *found["slices"].values()):
        assert all(0 <= value <= 1 for key, value in group.items() if key != "count")


def test_files_are_those_of_the_contract(tmp_path) -> None:
    folder = results(tmp_path)
    names = set(bytes_of(folder))
    pictures = json.loads((folder / "heatmaps.json").read_text(encoding="utf-8"))
    assert names == {
        "metrics.json", "bootstrap.parquet", "scores.parquet", "heatmaps.json", "animation.gif",
        "curves/roc.csv", "curves/pr.csv", "curves/pro.csv", *(one["file"] for one in pictures),
        *(view["file"] for one in pictures for view in one["views"]),
    }  # fmt: skip
    assert {one["kind"] for one in pictures} == {"missed", "found", "false_alarm", "quiet"}
    columns = {"roc": ["fpr", "tpr", "threshold"], "pr": ["recall", "precision", "threshold"]}
    for name, expected in (columns | {"pro": ["fpr", "pro"]}).items():
        assert list(pd.read_csv(folder / "curves" / f"{name}.csv").columns) == expected
    scores = scores_of(folder)
    assert list(scores.columns) == [
        "image", "split", "label", "defect", "slice", "headline", "score", "decision",
        "aupimo",
    ]  # fmt: skip
    assert pq.read_schema(folder / "scores.parquet").field("headline").type == "bool"
    counts = scores.groupby(["split", "slice"]).size().to_dict()
    assert counts == {
        ("test", ""): 15, ("test", "doubtful"): 3, ("val", ""): 3, ("validation", ""): 6,
        ("weak", "weak-0.3"): 3, ("weak", "weak-0.7"): 3, ("weak", "visibility-0.5"): 3,
    }  # fmt: skip
    assert not scores["image"].duplicated().any()


def test_a_method_s_own_views_lie_beside_the_heat_maps(tmp_path) -> None:
    folder, framing = results(tmp_path), Framing(96, "squash")
    for one in json.loads((folder / "heatmaps.json").read_text(encoding="utf-8")):
        seen = framing.to_model(read_image(tiny_unit().prepared / one["image"])).transpose(1, 2, 0)
        expected = {"as the network sees it": seen, "negative": 255 - seen[::2, ::3]}
        assert [view["caption"] for view in one["views"]] == list(expected)
        for view, picture in zip(one["views"], expected.values(), strict=True):
            assert np.array_equal(np.asarray(Image.open(folder / view["file"])), picture)


@pytest.mark.parametrize("wrong", [torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4).byte()])
def test_a_view_that_is_no_picture_is_refused(monkeypatch, tmp_path, wrong: Tensor) -> None:
    monkeypatch.setattr(White, "views", lambda *_: {"odd": wrong})
    with pytest.raises(ValueError, match=r"white: its view 'odd' is .*, not \(1, 3, h, w\) uint8"):
        results(tmp_path)


def test_a_perfect_detector_gets_one(tmp_path) -> None:
    folder = results(tmp_path)
    found = metrics_of(folder)
    best = {"image_auroc": 1.0, "image_ap": 1.0, "image_f1max": 1.0, "image_fpr95": 0.0}
    assert found["metrics"] | best == found["metrics"]
    for name in ("pixel_auroc", "pixel_aupro"):  # the map is resized, so its edges are soft
        assert found["metrics"][name] > 0.98
    at = found["threshold"]
    assert (at["image"], at["precision"], at["recall"], at["accuracy"]) == (0.0, 1.0, 1.0, 1.0)
    assert at["test_false_alarm_rate"] == 0.0
    for one in (*found["by_defect"].values(), found["slices"]["doubtful"]):
        assert one["image_auroc"] == 1.0
    scores = scores_of(folder)
    test = scores[scores["split"] == "test"]
    assert (test["decision"] == test["label"]).all()
    # Blended defects reach pure white only by chance: this detector misses most of them.
    assert found["slices"]["weak-0.7"]["image_auroc"] < 1.0


def test_a_constant_detector_gets_one_half(tmp_path) -> None:
    folder = results(tmp_path, level=256)
    found = metrics_of(folder)
    for group in (found["metrics"], found["validation"], *found["by_defect"].values()):
        assert group["image_auroc"] == 0.5
        assert group["pixel_auroc"] == 0.5
    assert found["metrics"]["image_ap"] == pytest.approx(9 / 15)
    assert found["metrics"]["image_fpr95"] == 1.0
    assert found["metrics"]["pixel_aupro"] == pytest.approx(0.15)  # the diagonal up to 0.3
    at = found["threshold"]
    assert (at["recall"], at["precision"], at["test_false_alarm_rate"]) == (0.0, None, 0.0)
    assert set(scores_of(folder)["decision"]) == {0}


def test_extra_slices_stay_outside_the_headline(tmp_path) -> None:
    folder = results(tmp_path)
    scores, found = scores_of(folder), metrics_of(folder)
    assert scores.groupby("split")["headline"].sum().to_dict() == {
        "test": 15, "val": 0, "validation": 0, "weak": 0,
    }  # fmt: skip
    assert not scores.loc[scores["slice"] != "", "headline"].any()
    assert found["by_defect"]["spot"]["count"] == 5  # three more spots are doubtful
    assert found["slices"]["doubtful"]["count"] == 3
    # A doubtful image that is missed costs its own slice only.
    unit = tiny_unit().copy(tmp_path / "unit")
    doubtful = read_manifest(unit.prepared).rows.query("slice == 'doubtful'")["image"]
    for image in doubtful:
        pixels = np.asarray(Image.open(unit.prepared / image)).clip(0, 200)
        Image.fromarray(pixels).save(unit.prepared / image)
    dimmed = metrics_of(results(tmp_path, unit))
    assert dimmed["metrics"]["image_auroc"] == 1.0
    assert dimmed["slices"]["doubtful"]["image_auroc"] == 0.5
    # Where the manifest does not name it as extra, a slice is part of the main test set.
    manifest = read_manifest(unit.prepared)
    facts = Facts(manifest.facts.unit, "pixel")
    rows = manifest.rows.astype(object).where(manifest.rows.notna(), None).to_dict("records")
    write_manifest(rows, facts, unit.prepared / "manifest.parquet")
    whole = metrics_of(results(tmp_path, unit))
    assert whole["counts"]["test_defective"] == 12
    assert whole["metrics"]["image_auroc"] == pytest.approx((9 + 3 / 2) / 12)


def test_numbers_follow_from_the_scores_written(tmp_path) -> None:
    folder = results(tmp_path, size=32)  # small, so that thin lines fade and scores differ
    scores, found = scores_of(folder), metrics_of(folder)
    main = scores[scores["headline"]]
    assert main["score"].nunique() > 3
    assert found["metrics"]["image_auroc"] == roc_auc_score(main["label"], main["score"])
    threshold = found["threshold"]["image"]
    assert (scores["decision"] == (scores["score"] > threshold)).all()
    defective = main[main["label"] == 1]
    assert found["threshold"]["recall"] == defective["decision"].mean()
    for defect, rows in defective.groupby("defect"):
        assert found["by_defect"][defect]["recall"] == rows["decision"].mean()
    good = main[main["label"] == 0]
    for name, one in found["slices"].items():
        both = pd.concat([good, scores[(scores["slice"] == name) & (scores["label"] == 1)]])
        assert one["image_auroc"] == roc_auc_score(both["label"], both["score"])
    checked = scores[scores["split"].isin(["val", "validation"])]
    assert found["validation"]["image_auroc"] == roc_auc_score(checked["label"], checked["score"])


def test_the_threshold_comes_from_validation_normals_alone(tmp_path) -> None:
    unit = tiny_unit()
    at = model(tmp_path / "model")
    path = at / "model.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["validation"]["normal_scores"] = [0.1, 0.2, 0.3, 0.4, 0.95]
    path.write_text(json.dumps(record), encoding="utf-8")
    for rate, expected in ((0.25, 0.4), (0.45, 0.3), (0.05, 0.95)):
        folder = evaluate_model(unit, at, tmp_path / str(rate), false_alarm_rate=rate)
        found = metrics_of(folder)
        assert found["threshold"]["image"] == expected
        assert found["threshold"]["image"] == threshold_at([0.1, 0.2, 0.3, 0.4, 0.95], rate)
        assert found["threshold"]["validation_normals"] == 5
        assert any("too few" in note for note in found["notes"]) == (rate == 0.05)
    # Another test set leaves it where it is, whatever the test images score.
    other = unit.copy(tmp_path / "unit")
    for image in (other.prepared / "test" / "good").iterdir():
        pixels = np.asarray(Image.open(image)).copy()
        pixels[:20] = 255
        Image.fromarray(pixels).save(image)
    moved = metrics_of(evaluate_model(other, at, tmp_path / "other", false_alarm_rate=0.25))
    assert moved["threshold"]["image"] == 0.4
    assert moved["threshold"]["test_false_alarm_rate"] == 1.0


def test_a_unit_without_masks_gets_image_metrics_only(tmp_path) -> None:
    unit = write_unit(scratch() / "maskless", stripes, masks="none")
    folder = results(tmp_path, unit)
    found = metrics_of(folder)
    assert set(found["metrics"]) == IMAGE
    assert found["masks"] == "none"
    assert "This unit has no pixel masks: image metrics only." in found["notes"]
    assert set(found["by_defect"]["spot"]) == {"count", "recall", "image_auroc"}
    assert set(found["slices"]["weak-0.3"]) == {"count"} | SHORT  # its masks are synthetic
    assert set(found["validation"]) == SHORT - {"pixel_aupimo"}
    assert not (folder / "curves" / "pro.csv").exists()


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_model_resolution_sees_the_masks_as_the_network_sees_the_images(tmp_path, resize) -> None:
    unit = tiny_unit()
    at = model(tmp_path / "model", resize=resize)
    method, _ = load(at, torch.device("cpu"))
    manifest = read_manifest(unit.prepared)
    test = manifest.of("test", 1)
    found = predict(method, manifest, test, "test")
    for number in range(len(test)):
        sample = found.sample(number, "model")
        one_map, mask = sample.anomaly_map, sample.mask
        assert one_map.shape == mask.shape == (96, 96)
        # The detector marks what is painted, less the soft edges, and nothing else.
        marked = one_map > 0.5
        assert marked.any()
        assert not (marked & ~mask).any()
        middles = [np.argwhere(area).mean(axis=0) for area in (marked, mask)]
        np.testing.assert_allclose(*middles, rtol=0, atol=0.75)
    folder = evaluate_model(unit, at, tmp_path / "results", resolution="model")
    metrics = metrics_of(folder)
    assert metrics["resolution"] == "model"
    assert metrics["metrics"]["pixel_auroc"] > 0.9


def test_another_aupro_limit_has_another_name_everywhere(tmp_path) -> None:
    found = metrics_of(results(tmp_path, evaluation={"aupro_limit": 0.05}))
    for group in (found["metrics"], found["validation"], found["by_defect"]["spot"]):
        assert "pixel_aupro_0.05" in group
        assert "pixel_aupro" not in group


def test_without_weak_defects_and_heat_maps_there_is_nothing_odd(tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    made = read_manifest(unit.synthetic)
    kept = made.rows[made.rows["split"] == "validation"].astype(object)
    rows = kept.where(kept.notna(), None).to_dict("records")
    facts = Facts(made.facts.unit, "pixel")
    write_manifest(rows, facts, unit.synthetic / "manifest.parquet")
    folder = results(tmp_path, unit, {"heatmaps": 0, "animation": 0})
    assert not (folder / "animation.gif").exists()
    assert set(metrics_of(folder)["slices"]) == {"doubtful"}
    assert json.loads((folder / "heatmaps.json").read_text(encoding="utf-8")) == []
    assert "weak" not in set(scores_of(folder)["split"])


def test_weak_curve_area_quarters_and_aupimo(tmp_path) -> None:
    folder = results(tmp_path)
    found, scores = metrics_of(folder), scores_of(folder)
    assert [one["beta"] for one in found["weak_curve"]] == [0.3, 0.7]
    for one in found["weak_curve"]:
        assert one == {"beta": one["beta"], **found["slices"][f"weak-{one['beta']}"]}
    assert set(found["by_area"]) <= {"q1", "q2", "q3", "q4"}
    assert sum(one["count"] for one in found["by_area"].values()) == 9
    assert scores["aupimo"].notna().tolist() == (scores["label"] == 1).tolist()
    main = scores[scores["headline"] & (scores["label"] == 1)]
    assert found["metrics"]["pixel_aupimo"] == pytest.approx(main["aupimo"].mean())


def test_maps_in_a_file_give_the_same_bytes(tmp_path, monkeypatch) -> None:
    at = model(tmp_path / "model")
    in_memory = evaluate_model(tiny_unit(), at, tmp_path / "in-memory")
    monkeypatch.setattr(maps, "IN_MEMORY", 0)
    method, _ = load(at, torch.device("cpu"))
    manifest = read_manifest(tiny_unit().prepared)
    found = predict(method, manifest, manifest.of("test"), "test", tmp_path)
    assert isinstance(found.maps, maps.MapFile)
    assert set(tmp_path.iterdir()) == {at, in_memory}  # the file has no name
    in_file = evaluate_model(tiny_unit(), at, tmp_path / "in-file")
    assert bytes_of(in_file) == bytes_of(in_memory)


def test_the_same_bytes_every_time(tmp_path) -> None:
    at = model(tmp_path / "model")
    first = evaluate_model(tiny_unit(), at, tmp_path / "first")
    second = evaluate_model(tiny_unit(), at, tmp_path / "second")
    assert bytes_of(first) == bytes_of(second)
    written = b"".join(bytes_of(first).values())
    assert str(tmp_path).encode() not in written
    assert str(scratch()).encode() not in written


def test_a_damaged_test_image_stops_the_stage_and_leaves_nothing(tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    at = model(tmp_path / "model")
    image = sorted((unit.prepared / "test" / "spot").iterdir())[0]
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(UserError, match=f"{image.name}: not a whole image"):
        evaluate_model(unit, at, tmp_path / "results" / "run")
    assert list((tmp_path / "results").iterdir()) == []
    shutil.rmtree(at)
    with pytest.raises(UserError, match=r"model\.json is missing: run the train stage"):
        evaluate_model(unit, at, tmp_path / "results" / "run")
