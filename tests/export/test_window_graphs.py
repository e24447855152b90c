"""Graphs of a window, with what is needed around them: images seen through windows, and zones."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import blemish
from blemish.core.errors import UserError
from blemish.export.judge import framed, largest_region, place_of, to_original, windows
from blemish.export.proof import BOUND
from blemish.export.runtimes import FACTS, open_graph
from blemish.images import windows as ours
from blemish.images.framing import Framing
from blemish.methods import zone_rules
from stages import export
from tests.evaluation.zoned import ignoring_unit, zoned_unit
from tests.export.test_export_stage import BARE, EXAMPLE, RATE
from tests.methods import test_through_windows as through_windows
from tests.methods.tiny import every_method, tiny
from tests.units import Unit, run_stage, scratch, tiny_unit, train_model

TILES = {"resize": "tiles", "scale": 1.0}


def exported(name: str, model: Path, unit: Unit, folder: Path) -> Path:
    """The folder that the stage writes."""
    code = folder / "code.json"
    code.write_text("{}")
    out = folder / "out"
    run_stage(export.main, {}, name, model, unit.prepared, unit.synthetic, code, out)
    return out


@cache
def zoned(view: str) -> Path:
    changes = TILES if view == "tiles" else {"resize": view}
    params = tiny("patchcore").params | changes
    return train_model(zoned_unit(), "patchcore", scratch() / f"export-{view}", params)


def check(out: Path, model: Path, images: list[np.ndarray], images_of_proof: int) -> None:
    """The proof stands in the JSON, and unseen images get the same from graph and model."""
    facts: dict[str, Any] = json.loads((out / FACTS).read_text())
    difference = facts["difference"]
    assert (difference["flips"], difference["images"]) == (0, images_of_proof)
    assert max(difference["score_share"], difference["map_share"]) <= BOUND
    detector = blemish.load(model, "cpu", false_alarm_rate=RATE)
    run = open_graph(facts["format"], out)
    verdicts = detector.score(images)
    answers = [run(image[None]) for image in images]
    scores = np.array([verdict.score for verdict in verdicts])
    values = np.concatenate([verdict.map.ravel() for verdict in verdicts])
    for verdict, answer in zip(verdicts, answers, strict=True):
        assert abs(answer.score[0] - verdict.score) <= 2 * BOUND * np.ptp(scores)
        at = [verdict.threshold, *(rule.threshold for rule in detector.rules.zones)]
        if np.abs(np.subtract(at, verdict.score)).min() > BOUND * np.ptp(scores):
            assert answer.defective[0] == verdict.defective
        np.testing.assert_allclose(answer.map[0], verdict.map, atol=2 * BOUND * np.ptp(values))


def pictures_of(unit: Unit) -> list[np.ndarray]:
    paths = sorted((unit.prepared / "test").rglob("*.png"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


@every_method
def test_every_method_through_windows(method: str, tmp_path: Path) -> None:
    model = through_windows.trained(method)
    out = exported("onnx", model, tiny_unit(), tmp_path)
    assert {file.name for file in out.iterdir()} == {"model.onnx", "judge.py", FACTS}
    check(out, model, pictures_of(tiny_unit()), 3 + 6)


@pytest.mark.parametrize("view", ["squash", "fit", "crop", "tiles"])
def test_zones(view: str, tmp_path: Path) -> None:
    out = exported("openvino" if view == "fit" else "onnx", zoned(view), zoned_unit(), tmp_path)
    facts = json.loads((out / FACTS).read_text())
    assert [rule["name"] for rule in facts["zones"]] == ["rim", "rest"]
    assert (facts["zones"][0]["min_area"], facts["zones"][0]["false_alarm_rate"]) == (30, 0.4)
    larger = np.pad(pictures_of(zoned_unit())[0], [(0, 40), (0, 0), (0, 0)], "symmetric")
    check(out, zoned(view), [*pictures_of(zoned_unit()), larger], 3 + 6)


def test_what_is_only_ignored(tmp_path: Path) -> None:
    model = train_model(
        ignoring_unit(), "patchcore", tmp_path / "model", tiny("patchcore").params | TILES
    )
    out = exported("onnx", model, ignoring_unit(), tmp_path)
    assert json.loads((out / FACTS).read_text())["zones"] == []
    check(out, model, pictures_of(ignoring_unit()), 3 + 6)


def test_the_example_needs_neither_pytorch_nor_blemish(tmp_path: Path) -> None:
    out = exported("onnx", zoned("tiles"), zoned_unit(), tmp_path)
    images = sorted((zoned_unit().prepared / "test").rglob("*.png"))
    command = [sys.executable, "-c", BARE, str(EXAMPLE), str(out / "model.onnx"), *map(str, images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *lines = done.stdout.splitlines()
    assert first.startswith("tiny/bolts by patchcore: defective above ")
    detector = blemish.load(zoned("tiles"), "cpu", false_alarm_rate=RATE)
    decisions = []
    for line, verdict in zip(lines, detector.score(images), strict=True):
        decision, score, *_ = line.split()
        assert float(score) == pytest.approx(verdict.score, rel=1e-3)
        decisions.append((decision, "defective" if verdict.defective else "good"))
    assert all(theirs == ours for theirs, ours in decisions)


def test_zones_that_differ_are_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in zoned("squash").iterdir():
        if file.name != "zones.png":
            (model / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="zones that are not the same on all images"):
        exported("onnx", model, zoned_unit(), tmp_path)
    assert not (tmp_path / "out").exists()


VIEWS = [
    Framing(64, 96, "tiles", scale=0.5, overlap=16),
    Framing(64, 64, "tiles", scale=1.7, overlap=24, step=16),
    Framing(64, 96, "fit"),
    Framing(64, 64, "squash"),
    Framing(64, 64, "crop", 1.25),
]


@pytest.mark.parametrize("framing", VIEWS, ids=lambda framing: framing.said)
def test_images_and_maps_as_blemish_has_them(framing: Framing) -> None:
    random, view = np.random.default_rng(0), vars(framing)
    for size in [(64, 64), (150, 201), (301, 47), (1, 7)]:
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        place = place_of(view, size)
        np.testing.assert_array_equal(framed(image, place), framing.to_model(image))
        small = random.random(framing.inside(np.empty(place.frame), size).shape).astype(np.float32)
        found = to_original(small, place, size)
        np.testing.assert_allclose(found, framing.to_original(small, size), atol=1e-5)
        expected = list(ours.windows(framing, place.frame))
        spots = list(windows(view, place.frame))
        assert [spot[:2] for spot in spots] == [(at.top, at.left) for at in expected]
        for (_, _, weights, owned), at in zip(spots, expected, strict=True):
            rows, columns = at.weights
            np.testing.assert_allclose(weights, rows[:, None] * columns, atol=1e-6)
            top, bottom, left, right = at.owned
            assert (
                owned.sum()
                == owned[top:bottom, left:right].sum()
                == (bottom - top) * (right - left)
            )


def test_the_largest_region() -> None:
    random = np.random.default_rng(1)
    for share in (0.0, 0.1, 0.35, 0.6, 1.0):
        mask = random.random((40, 55)) < share
        assert largest_region(mask) == zone_rules.largest_region(mask)
