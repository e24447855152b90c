"""`blemish predict`: what it reads, what it decides, what it refuses."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.core.errors import UserError
from tests.predict.bright import COLUMNS, files, predict, write_image, write_model

pytestmark = pytest.mark.usefixtures("bright")


def test_lines_on_standard_output(model: Path, images: Path) -> None:
    done = predict(model, images)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["-", "alarm", "-"]
    done = predict(model, images, "--json")
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["decision"] for row in rows] == [0, 1, 0]
    assert all(list(row) == COLUMNS for row in rows)
    assert last["summary"] | {
        "unit": "tiny/bolts", "method": "bright", "seed": 0, "images": 3, "alarms": 1,
        "regions": 2, "unreadable": [], "threshold": pytest.approx(4.9),
        "map_threshold": pytest.approx(0.49),
    } == last["summary"]  # fmt: skip


def test_thresholds_follow_the_rate_or_are_given(model: Path, images: Path) -> None:
    def summary(*options: Any) -> dict[str, Any]:
        done = predict(model, images, "--json", *options)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["summary"]
        return found

    found = summary("--false-alarm-rate", 0.5)
    assert (found["threshold"], found["map_threshold"]) == pytest.approx((4.0, 0.4))
    found = summary("--threshold", 1, "--map-threshold", 0.85)
    assert (found["threshold"], found["map_threshold"]) == (1, 0.85)
    assert (found["alarms"], found["regions"]) == (3, 1)
    done = predict(model, images, "--false-alarm-rate", 0.01)
    assert "20 validation normals are too few to set a false-alarm rate of 0.01" in done.stderr


def test_small_regions_are_left_out(model: Path, images: Path) -> None:
    areas = {}
    for least in (1, 1500, 3000):
        done = predict(model, images, "--json", "--min-area", least)
        row = json.loads(done.stdout.splitlines()[1])
        areas[least] = (row["regions"], row["area"])
    assert areas[1][0] == 2
    assert areas[1500][0] == 1
    assert areas[1500][1] == pytest.approx(36 * 60, rel=0.15)
    assert areas[3000] == (0, 0)


def test_unreadable_images_are_named_and_the_others_done(
    model: Path, images: Path, tmp_path: Path
) -> None:
    whole = (images / "good.png").read_bytes()
    (images / "a-cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "b-empty.jpg").write_bytes(b"")
    (images / "c-text.tif").write_text("no picture")
    done = predict(model, images, "--scores", tmp_path / "scores.csv", "--labelme", tmp_path / "l")
    assert done.exit_code == 3
    for name in ("a-cut.png", "b-empty.jpg", "c-text.tif"):
        assert f"skipped: {images / name}: not a whole image" in done.stderr
    assert "3 image(s) could not be read and are skipped" in done.stderr
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 3
    assert files(tmp_path / "l") == {"good.json", "line 2/bad.json", "line 2/tall.json"}
    listed = tmp_path / "list.txt"
    listed.write_text("images/good.png\nimages/nowhere.png\n")
    done = predict(model, listed, "--json")
    assert done.exit_code == 3
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert summary["images"] == 1
    assert summary["unreadable"] == [f"{images / 'nowhere.png'}: the image is missing"]


def test_the_crop_and_exif_orientation_are_those_of_training(tmp_path: Path) -> None:
    model = write_model(tmp_path / "crop", resize="crop")
    file = write_image(
        tmp_path / "wide.png", (64, 256), (20, 0, 20, 40, 255), (20, 110, 20, 30, 255)
    )
    with Image.open(file) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6  # to be turned by 90° clockwise
        picture.save(tmp_path / "turned.png", exif=exif)
    done = predict(model, file, tmp_path / "turned.png", "--maps", tmp_path / "maps")
    assert done.exit_code == 0
    wide, turned = (np.load(tmp_path / "maps" / f"{name}.npy") for name in ("wide", "turned"))
    assert wide.shape == (64, 256)
    assert wide[30, 125] == pytest.approx(1, abs=0.01)
    assert wide[30, 20] == wide.min()  # not seen
    assert turned.shape == (256, 64)
    assert np.abs(turned - np.rot90(wide, -1)).max() < 0.02


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["empty"], "empty: no images there"),
        (["images/*.bmp"], r"images/\*.bmp: no images there"),
        (["binary.txt"], "binary.txt: not a list of paths"),
        (["images", "--scores", "scores.xlsx"], "ends in .csv or .parquet"),
        (["images", "--heatmaps", "binary.txt"], "binary.txt', a file: name a folder"),
        (["images", "--heatmaps", "x", "--overlays", "x"], "are one folder: name two"),
        (["images", "--overlays", "images"], "would replace the image images/good.png"),
        (["images", "--device", "tpu"], "`--device` is 'tpu': use auto"),
        (["images", "--device", "cuda:99"], "`--device` is 'cuda:99', but PyTorch sees"),
        (["images", "--threshold", "nan"], "`--threshold` is nan"),
        (["images", "other", "--maps", "x"], "would be named good"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("images")
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    model: Path, tmp_path: Path, monkeypatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("binary.txt").write_bytes(b"\xff\xfe\x00a")
    write_image(Path("other/good.jpg"))
    before = files(tmp_path)
    done = predict(model, *words)
    assert isinstance(done.exception, UserError)
    with pytest.raises(UserError, match=message):
        raise done.exception
    assert files(tmp_path) == before


def test_a_damaged_model_is_named(model: Path, images: Path, tmp_path: Path) -> None:
    record = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(record | {"method": "../../evil"}))
    done = predict(model, images, "--scores", tmp_path / "s.csv")
    assert isinstance(done.exception, UserError)
    assert f"{model}: not a model of this version" in str(done.exception)
    done = predict(tmp_path, images)
    assert "model.json is missing" in str(done.exception)
    broken = write_model(tmp_path / "broken", gain=float("nan"))
    done = predict(broken, images, "--scores", tmp_path / "s.csv")
    assert "the model gives NaN or infinity" in str(done.exception)
    assert not (tmp_path / "s.csv").exists()


def test_memory_does_not_grow_with_the_number_of_images(model: Path, tmp_path: Path) -> None:
    """All images together are larger than what the run may take."""
    import tracemalloc

    big = write_image(tmp_path / "images" / "000.png", (1500, 1500), (100, 100, 300, 300, 255))
    for number in range(1, 40):
        os.link(big, big.with_name(f"{number:03d}.png"))
    predict(model, big, "--maps", tmp_path / "once")  # what is loaded once
    tracemalloc.start()
    done = predict(model, big.parent, "--scores", tmp_path / "s.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done.exit_code == 0
    assert len(pd.read_csv(tmp_path / "s.csv")) == 40
    assert peak < 150e6 < 40 * 1500 * 1500 * 3
