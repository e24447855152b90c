"""Files of MVTec LOCO's ground truth, bad ones by name, and sPRO of a unit that has them."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from blemish.core.errors import UserError
from blemish.evaluation.channel_files import Defect, read_channels, read_defects
from blemish.evaluation.evaluate import evaluate
from blemish.evaluation.predictions import Predictions
from tests.metrics.test_spro import LIMITS, defined

DEFECTS = [
    {"defect_name": "missing", "pixel_value": 255, "saturation_threshold": 0.3,
     "relative_saturation": True},
    {"defect_name": "scratch", "pixel_value": 201, "saturation_threshold": 60,
     "relative_saturation": False},
    {"defect_name": "tiny", "pixel_value": 7, "saturation_threshold": 1e6,
     "relative_saturation": False},
]  # fmt: skip


def test_saturation_areas():
    missing, scratch, tiny = (Defect(**one) for one in DEFECTS)
    assert [missing.saturation_area(area) for area in (1, 9, 10, 101)] == [1, 2, 3, 30]
    assert [scratch.saturation_area(area) for area in (10, 60, 1000)] == [10, 60, 60]
    assert tiny.saturation_area(5) == 5


def write_channels(folder, *channels):
    folder.mkdir(parents=True)
    for number, channel in enumerate(channels):
        cv2.imwrite(str(folder / f"{number:03d}.png"), channel)


def config(tmp_path, content=None):
    path = tmp_path / "defects_config.json"
    path.write_text(json.dumps(DEFECTS if content is None else content))
    return path


def test_channels_are_read_as_published(tmp_path):
    first, second = np.zeros((2, 6, 8), np.uint8)
    first[1:5, 1:6] = 255
    second[4:6, 5:8] = 7
    write_channels(tmp_path / "000", first, second)
    mask, channels = read_channels(tmp_path / "000", read_defects(config(tmp_path)))
    assert np.array_equal(mask, (first > 0) | (second > 0))
    assert [(one.pixels.size, one.saturation) for one in channels] == [(20, 6), (6, 6)]
    assert np.array_equal(channels[0].pixels, np.flatnonzero(first))


def test_bad_channels_are_named(tmp_path):
    known = read_defects(config(tmp_path))
    good = np.full((4, 4), 255, np.uint8)
    write_channels(tmp_path / "value", np.full((4, 4), 9, np.uint8))
    write_channels(tmp_path / "size", good, good[:3])
    write_channels(tmp_path / "two", np.array([[255, 7]], np.uint8))
    write_channels(tmp_path / "colour", np.dstack([good] * 3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "000.png").write_bytes(b"\x89PNG")
    for name, message in {
        "value": "000.png: value 9 is not in defects_config.json", "size": "001.png: its size",
        "two": r"000.png: holds the values \[7, 255\]", "colour": "8-bit grey PNG, this is RGB",
        "empty": "empty: no channel", "broken": "broken/000.png: not a whole image",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=message):
            read_channels(tmp_path / name, known)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "list"),
        ([{**DEFECTS[0], "pixel_value": 0}], "0.pixel_value"),
        ([{**DEFECTS[0], "saturation_threshold": -1}], "0.saturation_threshold"),
        ([DEFECTS[0], DEFECTS[0]], "occurs twice"),
    ],
)
def test_bad_configs_are_named(tmp_path, content, message):
    with pytest.raises(UserError, match=rf"defects_config\.json.*{message}"):
        read_defects(config(tmp_path, content))


def test_broken_and_missing_configs_are_named(tmp_path):
    path = tmp_path / "defects_config.json"
    with pytest.raises(UserError, match="is missing: sPRO needs"):
        read_defects(path)
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="not JSON"):
        read_defects(path)


def loco(root, rng, count=4):
    """A LOCO unit on disk: good images, `logical` and `structural` ones with channels."""
    rows, maps = [], []
    for number in range(3 * count):
        slice_ = ("", "logical", "structural")[number % 3]
        row = {"image": f"{number:03d}.png", "mask": None, "channels": None, "label": 0}
        row |= {"slice": slice_, "defect": slice_ or "good", "height": 40, "width": 50}
        mask = np.zeros((40, 50), np.uint8)
        if slice_:
            top, left = rng.integers(0, 20, 2)
            mask[top : top + 15, left : left + 20] = 255 if slice_ == "logical" else 201
            row |= {"channels": f"channels/{number:03d}", "label": 1}
            write_channels(root / row["channels"], mask)
        noise = cv2.GaussianBlur(rng.standard_normal((40, 50)), (0, 0), 1) * 3
        lift = {"": 0, "logical": 1.5, "structural": 4}[slice_]
        maps.append(np.round(noise + lift * (mask > 0), 1).astype(np.float32))
        rows.append(row)
    table = pd.DataFrame(rows)
    scores = np.array([one.max() for one in maps], float)
    defects = read_defects(config(root))
    return Predictions(table, scores, maps, lambda one, _: one, root, defects=defects)


def test_each_slice_has_all_good_images_and_the_headline_is_their_mean(tmp_path):
    test = loco(tmp_path, np.random.default_rng(0))
    everything = {"headline": lambda rows: rows["label"] >= 0, "masks": "pixel", "threshold": 0.0}
    found = evaluate(test, **everything)
    names = {0.05: "pixel_spro"} | {one: f"pixel_spro_{one:g}" for one in LIMITS if one != 0.05}
    expected = {}
    for slice_ in ("logical", "structural"):
        rows = np.flatnonzero(test.rows["slice"].isin(["", slice_]))
        samples = [test.sample(int(row), "original") for row in rows]
        parts = [[getattr(one, name) for one in samples] for name in ("anomaly_map", "mask")]
        parts.append([one.channels for one in samples])
        for limit, name in names.items():
            expected[slice_, name] = defined(*parts, limit)
            assert found.slices[slice_][name] == pytest.approx(expected[slice_, name], abs=1e-4)
    for name in names.values():
        mean = (expected["logical", name] + expected["structural", name]) / 2
        assert found.metrics[name] == pytest.approx(mean, abs=1e-4)
    assert expected["logical", "pixel_spro"] < expected["structural", "pixel_spro"]
    assert "sPRO is the mean of the slices logical and structural" in found.notes[0]


def test_channels_follow_the_mask_to_the_model_resolution(tmp_path):
    test = loco(tmp_path, np.random.default_rng(1))
    small = [cv2.resize(one, (25, 20), interpolation=cv2.INTER_AREA) for one in test.maps]
    shrunk = Predictions(test.rows, test.scores, small, test.to_original, test.root,
                         defects=test.defects)  # fmt: skip
    sample = shrunk.sample(1, "model")
    assert sample.mask.shape == (20, 25)
    (channel,), (whole,) = sample.channels, test.sample(1, "original").channels
    assert np.array_equal(channel.pixels, np.flatnonzero(sample.mask))
    share = whole.saturation / whole.pixels.size
    assert channel.saturation / channel.pixels.size == pytest.approx(share, abs=0.01)
