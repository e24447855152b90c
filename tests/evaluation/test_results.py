"""What the stage `evaluate` writes: the formats, equal bytes, what stops it."""

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.workspace import Run
from blemish.evaluation import map_storage
from blemish.evaluation.scoring import score_images
from blemish.images.framing import Framing
from blemish.images.manifest import Facts, read_manifest, write_manifest
from blemish.images.reading import read_image
from blemish.methods.saved import load
from blemish.metrics.curves import Ranking
from blemish.metrics.table import TABLE, Metric, Place
from blemish.report import tables, views
from blemish.tracking import run_content
from tests.evaluation.white import IMAGE, PIXEL, SHORT, White, metrics_of, model, results, scores_of
from tests.units import NAME, bytes_of, evaluate_model, scratch, tiny_unit

pytestmark = pytest.mark.usefixtures("white")


def test_metrics_json_has_the_keys_of_the_contract(tmp_path) -> None:
    found = metrics_of(results(tmp_path))
    assert set(found) == {
        "unit", "method", "seed", "protocol", "resolution", "input_size", "framing", "masks",
        "counts", "metrics", "intervals", "threshold", "by_defect", "slices", "by_area",
        "weak_curve", "validation", "notes", "warning",
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
        "resolution": "original", "input_size": [96, 96], "framing": "squash to 96×96",
        "masks": "pixel",
        "counts": {"train": 11, "val": 3, "test_good": 6, "test_defective": 9},
    }  # fmt: skip
    assert found | facts == found
    assert "Painted for tests." in found["notes"]
    for group in (found["metrics"], found["validation"], *found["slices"].values()):
        assert all(0 <= value <= 1 for key, value in group.items() if key != "count")


def test_a_set_with_measures_of_its_own_has_them_too(tmp_path, monkeypatch) -> None:
    own = "blemish.evaluation.published_measures"
    monkeypatch.setattr(f"{own}.AUPRO_LIMITS", {"tiny": 0.05})
    monkeypatch.setattr(f"{own}.WITH_SEGF1", {"tiny"})
    folder = results(tmp_path)
    found = metrics_of(folder)
    assert set(found["metrics"]) == (IMAGE | PIXEL) - {"pixel_aupro"} | {
        *("pixel_aupro_0.05", "pixel_segf1")
    }
    assert 0 < found["metrics"]["pixel_segf1"] <= found["metrics"]["pixel_f1max"] + 0.001
    assert any(note.startswith("SegF1 is of all test pixels") for note in found["notes"])
    run = Run(NAME, "white", 0, tmp_path, folder)
    (row,) = tables.leaderboard([run])
    assert "pixel_segf1" in tables.metric_names([row])


def test_what_a_crop_does_not_see_is_noted(tmp_path) -> None:
    notes = metrics_of(results(tmp_path, resize="crop"))["notes"]
    (note,) = [note for note in notes if "judged in part" in note]
    sizes = read_manifest(tiny_unit().prepared).of("test")[["height", "width"]]
    least = min(min(size) / max(size) for size in sizes.itertuples(index=False))
    assert f"sees {least:.0%} of the image at least" in note


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
        "image", "split", "label", "defect", "slice", "group", "headline", "score", "decision",
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
    folder, framing = results(tmp_path), Framing.square(96, "squash")
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


def test_maps_in_a_file_give_the_same_bytes(tmp_path, monkeypatch) -> None:
    at = model(tmp_path / "model")
    in_memory = evaluate_model(tiny_unit(), at, tmp_path / "in-memory")
    monkeypatch.setattr(map_storage, "IN_MEMORY", 0)
    method, _ = load(at, torch.device("cpu"))
    manifest = read_manifest(tiny_unit().prepared)
    found = score_images(method, manifest, manifest.of("test"), "test", tmp_path)
    assert isinstance(found.maps, map_storage.MapFile)
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


def test_a_new_metric_is_one_entry_of_the_table(tmp_path, monkeypatch) -> None:
    """From there it reaches metrics.json with its interval, the leaderboard, the summary."""

    def recall_at(ranking: Ranking, limit: float) -> Any:
        return np.where(ranking.fpr <= limit, ranking.tpr, 0.0).max(axis=-1)

    shown = Place.SUMMARY | Place.DETAIL | Place.VALIDATION
    new = Metric("pixel_recall", "Recall", recall_at, shown, limit=0.1)
    monkeypatch.setitem(TABLE, new.name, new)
    at = model(tmp_path / "model")
    folder = evaluate_model(tiny_unit(), at, tmp_path / "results")
    found = metrics_of(folder)
    assert 0.9 < found["metrics"]["pixel_recall"] <= 1
    assert all("pixel_recall" in found[part] for part in ("validation", "intervals"))
    assert "pixel_recall" in found["by_defect"]["spot"]
    low, high = found["intervals"]["pixel_recall"]
    assert low - 0.002 <= found["metrics"]["pixel_recall"] <= high + 0.002
    run = Run(NAME, "white", 0, at, folder)
    (row,) = tables.leaderboard([run])
    assert row["metrics"]["pixel_recall"]["mean"] == found["metrics"]["pixel_recall"]
    assert tables.metric_names([row])[-1] == "pixel_recall"
    assert tables.summary([run])["white"]["pixel_recall"] == found["metrics"]["pixel_recall"]
    assert "Pixel Recall" in views.defects([run])["head"]
    assert run_content.metrics(run)["pixel_recall"] == found["metrics"]["pixel_recall"]
