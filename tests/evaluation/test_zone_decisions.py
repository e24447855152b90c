"""Zones in the stage `evaluate`: what is ignored counts nowhere, each zone decides by itself."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.evaluation.evaluate import evaluate
from blemish.evaluation.predictions import Predictions
from blemish.evaluation.published_measures import own_metrics
from blemish.evaluation.zone_decisions import decided
from blemish.images.manifest import Facts, read_manifest, write_manifest
from blemish.images.zones import IGNORED as INDEX_IGNORED
from blemish.images.zones import ZoneMap, write_zone_map
from blemish.methods.zone_rules import ZoneRule
from tests.evaluation.test_channel_files import loco
from tests.evaluation.white import metrics_of, model, results, scores_of
from tests.evaluation.zoned import IGNORED, RIM, ignoring_unit, mask_of, zoned_unit
from tests.units import Unit, bytes_of, evaluate_model

pytestmark = pytest.mark.usefixtures("white")

HIDDEN = 10  # upper rows that are ignored in `predictions`


def predictions(root: Path, cut: bool) -> Predictions:
    """Noisy maps of 40×30 with defects; the upper rows are cut off, or ignored and loud."""
    random = np.random.default_rng(3)
    (root / "masks").mkdir(parents=True)
    index = np.zeros((40, 30), np.uint8)
    index[:HIDDEN] = INDEX_IGNORED
    write_zone_map(ZoneMap((), index), root / "zones.png")
    rows, maps, scores = [], [], []
    for number in range(16):
        mask, label = np.zeros((40, 30), bool), number % 2
        if label:
            top, left = random.integers(0, 28), random.integers(0, 20)
            mask[top : top + 12, left : left + 9] = True
            mask[2:4, 2:4] = True
        anomaly_map = random.standard_normal((40, 30)).astype(np.float32) + 1.2 * mask
        anomaly_map[:HIDDEN] += 5
        mask[: HIDDEN * cut] = False
        kept = np.s_[HIDDEN:] if cut else np.s_[:]
        Image.fromarray(mask[kept]).save(root / "masks" / f"{number}.png")
        row = {"image": f"{number}.png", "mask": f"masks/{number}.png", "label": label}
        row |= {"height": 40 - HIDDEN * cut, "width": 30, "zones": None if cut else "zones.png"}
        rows.append(row | {"defect": "dent" if label else "good", "slice": ""})
        maps.append(anomaly_map[kept])
        scores.append(anomaly_map[HIDDEN:].max())
    table = pd.DataFrame(rows)
    return Predictions(table, np.array(scores, float), maps, lambda one, _: one, root)


@pytest.mark.parametrize("resolution", ["original", "model"])
def test_numbers_are_those_of_images_without_what_is_ignored(tmp_path, resolution) -> None:
    settings = {"masks": "pixel", "threshold": 3.0, "resolution": resolution}
    ignoring, cut = (
        evaluate(
            predictions(tmp_path / name, name == "cut"),
            headline=lambda rows: rows["label"] >= 0,
            **settings,
        )
        for name in ("ignoring", "cut")
    )
    assert ignoring.metrics == cut.metrics
    assert 0.5 < cut.metrics["pixel_auroc"] < 0.99
    assert 0.1 < cut.metrics["pixel_aupro"] < 0.99
    assert ignoring.by_defect == cut.by_defect
    assert ignoring.by_area == cut.by_area
    assert ignoring.operating_point == cut.operating_point
    np.testing.assert_array_equal(ignoring.aupimo[0], cut.aupimo[0])
    pd.testing.assert_frame_equal(ignoring.draws, cut.draws)
    pd.testing.assert_frame_equal(ignoring.curves["pro"], cut.curves["pro"])


def test_published_measures_too(tmp_path) -> None:
    found = []
    for name in ("ignoring", "cut"):
        test = predictions(tmp_path / name, name == "cut")
        found.append(own_metrics("mvtec2/can", test, list(range(16)), test, "original"))
    assert found[0] == found[1]
    assert found[0][0]["pixel_segf1"] > 0


def test_a_channel_that_is_ignored_in_part_saturates_with_the_rest(tmp_path) -> None:
    test = loco(tmp_path, np.random.default_rng(0))
    before = test.sample(1, "original")
    (channel,) = before.channels
    ys, _ = np.divmod(channel.pixels, 50)
    index = np.zeros((40, 50), np.uint8)
    index[: ys.min() + 3] = INDEX_IGNORED  # three of fifteen rows
    write_zone_map(ZoneMap((), index), tmp_path / "zones.png")
    zoned = replace(test, rows=test.rows.assign(zones="zones.png"))
    sample = zoned.sample(1, "original")
    (left,) = sample.channels
    assert (channel.pixels.size, left.pixels.size) == (300, 240)
    assert left.saturation == round(channel.saturation * 0.8)
    assert sample.mask.sum() == 240
    assert sample.area == 240 / (2000 - 50 * (ys.min() + 3))
    index[:] = INDEX_IGNORED
    index[-1] = 0
    write_zone_map(ZoneMap((), index), tmp_path / "zones.png")
    assert zoned.sample(1, "original").channels == ()
    assert zoned.hidden.tolist() == (test.rows["label"] == 1).tolist()


def test_what_is_ignored_does_not_count(tmp_path) -> None:
    found = metrics_of(results(tmp_path, ignoring_unit()))
    # The clock is as white as a defect: without the zone neither would be told from the other.
    assert found["metrics"]["pixel_auroc"] == found["metrics"]["image_auroc"] == 1
    assert found["counts"] == {"train": 11, "val": 3, "test_good": 6, "test_defective": 6}
    assert "3 defective images lie wholly in the zone `ignore`: left out." in found["notes"]
    assert "zones" not in found
    assert found["by_defect"]["line"]["count"] == 1
    assert sum(quarter["count"] for quarter in found["by_area"].values()) == 6
    # All goods' glints count, and the threshold is the brightest of three.
    scores = scores_of(next(tmp_path.glob("results*")))
    assert "zone_alarms" not in scores
    main = scores[scores["headline"]]
    assert (main["decision"] == (main["score"] > found["threshold"]["image"])).all()
    assert main["aupimo"].notna().sum() == 6


def expected_scores() -> pd.DataFrame:
    """Each image's score over what is judged, in the rim and in the rest, by its pixels."""
    manifest = read_manifest(zoned_unit().prepared)
    parts = {"score": ~mask_of(IGNORED), "rim": mask_of(RIM)}
    parts["rest"] = parts["score"] & ~parts["rim"]
    table = manifest.rows.set_index("image")
    for image in table.index:
        pixels = np.asarray(Image.open(manifest.root / image).convert("RGB"), np.float32)
        white = (pixels.mean(axis=2) - 220).clip(min=0) / 35
        for name, part in parts.items():
            table.loc[image, name] = white[part].max()
        table.loc[image, "area"] = (white * parts["rim"] > 0.9).sum()  # all of a defect, no glint
    return table


def test_each_zone_has_its_score_its_threshold_and_its_alarms(tmp_path) -> None:
    folder, expected = results(tmp_path, zoned_unit()), expected_scores()
    found, scores = metrics_of(folder), scores_of(folder).set_index("image")
    test = scores[scores["split"] == "test"]
    assert test["score"].tolist() == pytest.approx(expected["score"][test.index].tolist())
    normals = expected[(expected["split"] == "val") & (expected["label"] == 0)]
    rim, rest = found["zones"]["rim"], found["zones"]["rest"]
    # 0.4 of three normals is one of them.
    assert rim["threshold"] == pytest.approx(sorted(normals["rim"])[1])
    assert rest["threshold"] == normals["rest"].max() == 0
    facts = {"false_alarm_rate": 0.4, "min_area": 30, "validation_normals": 3, "expected_rate": 0.5}
    assert rim | facts == rim
    facts = {"false_alarm_rate": 0.25, "min_area": 0, "validation_normals": 3}
    assert rest | facts == rest
    by_hand = {
        "rim": (expected["rim"] > rim["threshold"]) & (expected["area"] >= 30),
        "rest": expected["rest"] > 0,
    }
    named = pd.Series([", ".join(n for n in by_hand if by_hand[n][image]) for image in test.index])
    assert test["zone_alarms"].tolist() == named.tolist()
    assert test["decision"].tolist() == (named != "").astype(int).tolist()
    # Glints are brighter than the rim's threshold, but too small.
    good = test[test["label"] == 0]
    assert (expected["rim"][good.index] > rim["threshold"]).sum() == 3
    assert good["decision"].sum() == 0
    assert (rim["alarms"], rim["test_good"], rim["test_false_alarm_rate"]) == (2, 6, 0)
    assert (rim["defective"], rim["recall"]) == (2, 1)
    assert (rest["alarms"], rest["defective"], rest["recall"]) == (4, 4, 1)
    assert found["threshold"] | {"recall": 1, "test_false_alarm_rate": 0} == found["threshold"]
    assert {kind: one["recall"] for kind, one in found["by_defect"].items()} == {
        "line": 1,
        "spot": 1,
    }
    note = next(note for note in found["notes"] if note.startswith("Zones decide"))
    assert "rim (40 %, from 30 px), rest (25 %)" in note
    assert not any(note.startswith("3 validation normals are too few") for note in found["notes"])
    assert any(note.startswith("Zone rest: 3 validation normals") for note in found["notes"])


def test_pictures_hatch_what_is_ignored_and_say_which_zone_decided(tmp_path) -> None:
    folder = results(tmp_path, zoned_unit())
    shown = json.loads((folder / "heatmaps.json").read_text(encoding="utf-8"))
    decisions = scores_of(folder).set_index("image")["decision"]
    assert all(one["alarm"] == decisions[one["image"]] for one in shown)
    strip = np.asarray(Image.open(folder / shown[0]["file"]))
    ignored = strip[60:130, 310:580]  # of the second panel, see strips.py
    assert set(np.unique(ignored)) == {120, 160}
    assert (ignored == ignored[..., :1]).all()
    first = scores_of(results(tmp_path, ignoring_unit()))
    assert len(first) == len(decisions)


def test_equal_input_gives_equal_bytes(tmp_path) -> None:
    at = model(tmp_path / "model", zoned_unit())
    folders = [evaluate_model(zoned_unit(), at, tmp_path / name) for name in "ab"]
    assert bytes_of(folders[0]) == bytes_of(folders[1])


def write_rows(unit: Unit, rows: pd.DataFrame, facts: Facts) -> None:
    known = rows.astype(object).where(rows.notna(), None)
    write_manifest(known.to_dict("records"), facts, unit.prepared / "manifest.parquet")


def test_without_masks_zones_decide_all_the_same(tmp_path) -> None:
    unit = zoned_unit().copy(tmp_path / "unit")
    manifest = read_manifest(unit.prepared)
    write_rows(unit, manifest.rows.assign(mask=None), replace(manifest.facts, masks="none"))
    found = metrics_of(results(tmp_path, unit))
    assert (found["zones"]["rim"]["alarms"], found["zones"]["rim"]["recall"]) == (2, None)
    assert found["counts"]["test_defective"] == 9  # nobody knows where their defects lie
    assert found["threshold"]["recall"] == pytest.approx(6 / 9)


def test_images_without_a_map_are_all_rest(tmp_path) -> None:
    unit = zoned_unit().copy(tmp_path / "unit")
    manifest = read_manifest(unit.prepared)
    good = (manifest.rows["split"] == "test") & (manifest.rows["label"] == 0)
    rows = manifest.rows.assign(zones=manifest.rows["zones"].where(~good, None))
    write_rows(unit, rows, manifest.facts)
    folder = results(tmp_path, unit)
    found = metrics_of(folder)
    assert found["zones"]["rim"]["test_good"] == 0
    assert found["zones"]["rim"]["test_false_alarm_rate"] is None
    assert found["zones"]["rest"]["test_false_alarm_rate"] == 1  # the clock counts now
    scores = scores_of(folder).query("headline and label == 0")
    assert set(scores["zone_alarms"]) == {"rest"}


def test_a_model_of_other_zones_is_one_clear_line(tmp_path) -> None:
    at = model(tmp_path / "model", ignoring_unit())
    with pytest.raises(UserError, match="trained with the zones none, but the unit has rim: train"):
        evaluate_model(zoned_unit(), at, tmp_path / "results")


def test_an_area_is_measured_at_the_image_s_own_size(tmp_path) -> None:
    """A map of half the size: 3×3 of its pixels are 36 of the image."""
    index = np.ones((40, 40), np.uint8)
    write_zone_map(ZoneMap(("rim",), index), tmp_path / "zones.png")
    row = {"image": "a.png", "label": 0, "defect": "good", "slice": "", "mask": None}
    rows = pd.DataFrame([row | {"zones": "zones.png", "height": 40, "width": 40}])
    small = np.zeros((20, 20), np.float32)
    small[5:8, 5:8] = 1

    def enlarged(one: np.ndarray, _: tuple[int, int]) -> np.ndarray:
        return one.repeat(2, axis=0).repeat(2, axis=1)

    test = Predictions(
        rows, np.ones(1), small[None], enlarged, tmp_path, zones=("rim",),
        zone_scores=np.array([[1.0, -np.inf]]),
    )  # fmt: skip
    for least, alarm in ((36, True), (37, False)):
        rules = [ZoneRule("rim", 0.1, 0.5, 0.5, least, 9), ZoneRule("rest", 0.1, 0.5, 0.5, 0, 9)]
        assert decided(test, rules).decisions(0.5).tolist() == [alarm]
    assert decided(test, ()) is test
