"""The numbers that the stage `evaluate` gives detectors whose results are known."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from blemish.evaluation.scoring import score_images
from blemish.images.manifest import Facts, read_manifest, write_manifest
from blemish.methods.saved import load
from blemish.metrics.threshold import threshold_at
from tests.evaluation.white import IMAGE, SHORT, metrics_of, model, results, scores_of
from tests.units import evaluate_model, scratch, stripes, tiny_unit, write_unit

pytestmark = pytest.mark.usefixtures("white")


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
    folder = results(tmp_path, image_size=32)  # small, so that thin lines fade and scores differ
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
    found = score_images(method, manifest, test, "test")
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
