"""The stage `train` on a unit with zones: what a model keeps of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from blemish.core.errors import UserError
from blemish.images.manifest import read_manifest
from blemish.images.reading import read_image
from blemish.images.seen_zones import ZoneReader
from blemish.images.zones import read_zone_map
from blemish.methods.saved import load, load_zones
from blemish.methods.scoring import score_picture
from blemish.methods.zone_rules import zone_rules
from tests.evaluation.zoned import IGNORED, RIM, ignoring_unit, mask_of, zoned_unit
from tests.methods.tiny import tiny, trained
from tests.units import bytes_of, evaluate_model, train_model

CPU = torch.device("cpu")
TILES = {"resize": "tiles", "scale": 1.0}


@pytest.mark.parametrize("view", [{}, TILES], ids=["squash", "tiles"])
def test_a_model_knows_the_normals_of_each_zone(tmp_path: Path, view: dict[str, object]) -> None:
    unit = zoned_unit()
    folder = train_model(unit, "patchcore", tmp_path / "m", tiny("patchcore").params | view)
    assert set(bytes_of(folder)) == {"model.safetensors", "model.json", "curves.csv", "zones.png"}
    method, record = load(folder, CPU)
    assert record.zones is not None
    assert list(record.zones) == ["rim"]
    assert (record.zones["rim"].false_alarm_rate, record.zones["rim"].min_area) == (0.4, 30)
    zones = load_zones(folder, record)
    assert zones is not None
    assert (zones.of("ignore") == mask_of(IGNORED)).all()
    assert (zones.of("rim") == mask_of(RIM)).all()
    manifest = read_manifest(unit.prepared)
    normals, reader = manifest.of("val", 0), ZoneReader(manifest.root, ("rim",), method.framing)
    scores, maxima = [], []
    for (_, row), seen in zip(normals.iterrows(), reader.each(normals), strict=True):
        assert seen is not None
        picture = torch.from_numpy(
            method.framing.to_model(read_image(manifest.root / row["image"]))
        )
        anomaly_map, found = score_picture(method, picture, (96, 96), seen.seen)
        whole = method.framing.to_original(anomaly_map, (96, 96))
        maxima.append([whole[part].max() for part in (~mask_of(IGNORED), mask_of(RIM))])
        scores.append(found)
    known = record.validation
    columns = np.sort(np.array(scores), axis=0).T.tolist()
    assert known.normal_scores == columns[0]
    assert [known.zones[name].normal_scores for name in ("rim", "rest")] == columns[1:]
    peaks = np.sort(np.array(maxima), axis=0).T.tolist()
    assert [known.map_maxima, known.zones["rim"].map_maxima] == peaks
    rim, _ = zone_rules(known, record.zones, 0.25)
    assert rim.threshold == columns[1][1]
    results = evaluate_model(unit, folder, tmp_path / "r")
    found = json.loads((results / "metrics.json").read_text(encoding="utf-8"))["zones"]
    assert found["rim"]["threshold"] == rim.threshold


def test_a_model_that_only_ignores_has_no_zones_by_name(tmp_path: Path) -> None:
    folder = train_model(ignoring_unit(), "patchcore", tmp_path / "m", tiny("patchcore").params)
    _, record = load(folder, CPU)
    assert (record.zones, record.validation.zones) == ({}, {})
    shared = load_zones(folder, record)
    assert shared is not None
    assert shared.judged().sum() == 96 * 68


def test_a_unit_without_zones_leaves_no_trace() -> None:
    folder = trained("patchcore")
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert "zones" not in record
    assert "zones" not in record["validation"]
    _, loaded = load(folder, CPU)
    assert load_zones(folder, loaded) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"zones": {"../x": {}}}, "zones"),
        ({"zones": {"rim": {"min_area": -1}}}, "zones.rim.min_area"),
        ({"zones": {"rim": {"false_alarm_rate": 2.0}}}, "zones.rim.false_alarm_rate"),
        ({"zones": {f"z{i}": {} for i in range(21)}}, "21 zones, more than 20"),
    ],
)
def test_damaged_tolerances_are_one_clear_line(tmp_path: Path, changes, named: str) -> None:
    folder = train_model(ignoring_unit(), "patchcore", tmp_path / "m", tiny("patchcore").params)
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(record | changes), encoding="utf-8")
    with pytest.raises(UserError, match="not a model of this version") as caught:
        load(folder, CPU)
    assert named in str(caught.value)


def test_a_map_of_zones_is_checked(tmp_path: Path) -> None:
    folder = train_model(zoned_unit(), "patchcore", tmp_path / "m", tiny("patchcore").params)
    _, record = load(folder, CPU)
    assert read_zone_map(folder / "zones.png", ("rim",), None).index.shape == (96, 96)
    (folder / "zones.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"zones.png: not a whole image"):
        load_zones(folder, record)
