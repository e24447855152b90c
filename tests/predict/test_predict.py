"""`blemish predict`: what it writes, what it survives, what it refuses."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.core.params import Section
from blemish.images.framing import Framing
from blemish.methods.detector import Detector
from blemish.methods.loop import Loop
from blemish.methods.saved import save
from blemish.methods.training_data import TrainingUnit

COLUMNS = ["image", "score", "decision", "regions", "area", "map_maximum", "width", "height"]
SIZE = 64


class Params(Section):
    """`resize` as in `Framing`."""

    resize: str = "squash"


class Bright(Detector):
    """The map is the brightness from 0 to 1, the score ten times its maximum."""

    name = "bright"

    def __init__(self, params: Params, seed: int) -> None:
        super().__init__(params, seed)
        self.framing = Framing(SIZE, params.resize)
        self.gain = nn.Parameter(torch.ones(1))

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Nothing to learn."""

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = images.float().mean(dim=1) / 255 * self.gain
        return maps, 10 * maps.amax(dim=(1, 2)).double()


@pytest.fixture(autouse=True)
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the detector importable as any method is: `blemish.methods.bright`."""
    modules = {
        "bright": {},
        "bright.params": {"Params": Params},
        "bright.method": {"METHOD": Bright},
    }
    for name, content in modules.items():
        module = ModuleType(f"{importlib.import_module('blemish.methods').__name__}.{name}")
        module.__dict__.update(content, __path__=[])
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Of 20 validation normals with maxima 0.31 … 0.5 and scores 3.1 … 5.0, on a ground of 0.2."""
    return write_model(tmp_path / "model")


def write_model(folder: Path, gain: float = 1.0, **params: Any) -> Path:
    folder.mkdir()
    detector = Bright(Params(**params), 0)
    detector.gain.data.fill_(gain)
    maps = np.full((20, 8, 8), 0.2, np.float32)
    maps[:, 0, 0] = np.arange(31, 51) / 100
    save(detector, folder, "tiny/bolts", maps, 10 * maps.max(axis=(1, 2)).astype(float))
    return folder


def write_image(file: Path, size: tuple[int, int] = (96, 128), *spots: tuple[int, ...]) -> Path:
    """Dark grey, (H, W); spots are (top, left, height, width, brightness)."""
    picture = np.full((*size, 3), 51, np.uint8)
    for top, left, height, width, level in spots:
        picture[top : top + height, left : left + width] = level
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)
    return file


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two good ones, of different sizes and depths, and one with two spots."""
    folder = tmp_path / "images"
    write_image(folder / "good.png")
    write_image(folder / "line 2" / "tall.jpg", (200, 40))
    write_image(
        folder / "line 2" / "bad.png", (192, 256), (30, 40, 36, 60, 240), (120, 180, 40, 30, 200)
    )
    (folder / "notes.md").write_text("no image")
    return folder


def predict(*words: Any) -> Result:
    """Run the command; a UserError is the result's exception."""
    return CliRunner().invoke(app, ["predict", *map(str, words)])


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_everything_that_can_be_written(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = ("labelme", "heatmaps", "overlays", "maps")
    options = [word for name in wanted for word in (f"--{name}", out / name)]
    done = predict(model, images, *options, "--scores", out / "scores.csv")
    assert done.exit_code == 0
    assert "3 images by bright of tiny/bolts: 1 alarms (score above 4.9), 2 regions" in done.stderr
    assert done.stdout == ""
    assert files(out) == {"scores.csv"} | {
        f"{name}/{stem}{suffix}"
        for name, suffix in zip(wanted, (".json", ".png", ".png", ".npy"), strict=True)
        for stem in ("good", "line 2/bad", "line 2/tall")
    }
    scores = pd.read_csv(out / "scores.csv")
    assert list(scores) == COLUMNS
    assert scores["image"].tolist() == [
        str(images / n) for n in ("good.png", "line 2/bad.png", "line 2/tall.jpg")
    ]
    assert scores["decision"].tolist() == [0, 1, 0]
    assert scores["score"].tolist() == pytest.approx([2, 10 * 240 / 255, 2], abs=0.05)
    assert scores["regions"].tolist() == [0, 2, 0]
    assert scores[["height", "width"]].to_numpy().tolist() == [[96, 128], [192, 256], [200, 40]]
    for stem, size in (("good", (96, 128)), ("line 2/bad", (192, 256)), ("line 2/tall", (200, 40))):
        anomaly_map = np.load(out / "maps" / f"{stem}.npy")
        assert (anomaly_map.shape, anomaly_map.dtype) == (size, np.float32)
        for name in ("heatmaps", "overlays"):
            with Image.open(out / name / f"{stem}.png") as picture:
                assert (picture.height, picture.width) == size
    row = scores.iloc[1]
    anomaly_map = np.load(out / "maps" / "line 2" / "bad.npy")
    assert row["map_maximum"] == pytest.approx(anomaly_map.max())
    assert row["area"] == (anomaly_map > 0.49).sum()
    assert anomaly_map[48, 70] == pytest.approx(240 / 255, abs=0.01)
    # Ground: the lowest colour. The spot, beyond twice the threshold: the highest.
    heat = np.asarray(Image.open(out / "heatmaps" / "line 2" / "bad.png"))
    assert heat[100, 20].tolist() == [0, 0, 3]
    assert heat[48, 70].tolist() == [252, 254, 164]
    overlay = np.asarray(Image.open(out / "overlays" / "line 2" / "bad.png"))
    assert (overlay == (255, 20, 140)).all(axis=2).sum() > 100  # the outline


def test_parquet_holds_the_same_rows(
    model: Path, images: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("blemish.predict.outputs.ROWS", 2)
    for name in ("scores.csv", "scores.parquet"):
        assert predict(model, images, "--scores", tmp_path / name).exit_code == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "scores.csv"),
        pd.read_parquet(tmp_path / "scores.parquet"),
        check_dtype=False,
    )


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


def test_a_person_s_annotations_stay(model: Path, images: Path) -> None:
    """They lie beside the images, where LabelMe looks for them."""
    assert predict(model, images, "--labelme", images).exit_code == 0
    made, other = images / "line 2" / "bad.json", images / "good.json"
    first = other.read_bytes()
    made.write_text("corrected by hand")
    other.unlink()
    done = predict(model, images, "--labelme", images)
    assert "2 LabelMe file(s) were there and are kept" in done.stderr
    assert made.read_text() == "corrected by hand"
    assert other.read_bytes() == first
    assert predict(model, images, "--labelme", images, "--overwrite").exit_code == 0
    assert len(json.loads(made.read_text())["shapes"]) == 2


def test_again_gives_the_same_bytes_and_does_not_read_its_own_pictures(
    model: Path, images: Path
) -> None:
    options = [
        "--heatmaps",
        images / "heat",
        "--overlays",
        images / "over",
        "--scores",
        images / "s.csv",
    ]
    first = predict(model, images, *options)
    before = {name: (images / name).read_bytes() for name in files(images)}
    second = predict(model, images, *options)
    assert (first.exit_code, first.stderr) == (second.exit_code, second.stderr)
    assert {name: (images / name).read_bytes() for name in files(images)} == before


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


def test_globs_lists_and_files_keep_their_names(model: Path, images: Path, tmp_path: Path) -> None:
    def written(*words: Any) -> set[str]:
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        assert predict(model, *words, "--labelme", out).exit_code == 0
        return files(out)

    assert written(images / "**" / "*.png") == {"good.json", "line 2/bad.json"}
    assert written(images / "*" / "*.*") == {"line 2/bad.json", "line 2/tall.json"}
    assert written(images / "good.png") == {"good.json"}
    assert written(images / "good.png", images / "line 2" / "bad.png") == {
        "good.json",
        "line 2/bad.json",
    }
    listed = images / "some.lst"
    listed.write_text("\ufeffgood.png\n\n  line 2/tall.jpg\n", encoding="utf-8")
    assert written(listed) == {"good.json", "line 2/tall.json"}
    assert written(images, images / "good.png") == {
        "good.json",
        "line 2/bad.json",
        "line 2/tall.json",
    }


def test_an_interrupted_run_leaves_whole_files(
    model: Path, images: Path, tmp_path: Path, monkeypatch
) -> None:
    score, calls = Bright.score, iter(range(9))

    def interrupted(self: Bright, batch: Tensor) -> tuple[Tensor, Tensor]:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return score(self, batch)

    monkeypatch.setattr(Bright, "score", interrupted)
    out = tmp_path / "out"
    done = predict(model, images, "--labelme", out, "--scores", out / "s.csv")
    assert done.exit_code == 130
    assert f"interrupted after 2 of 3 images, {out / 's.csv'} is not written" in done.stderr
    assert files(out) == {"good.json", "line 2/bad.json"}


def test_an_output_that_cannot_be_written_is_named(
    model: Path, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / "line 2").mkdir(parents=True)
    (tmp_path / "out" / "line 2" / "bad.npy").mkdir()
    done = predict(model, images, "--maps", tmp_path / "out")
    assert f"{tmp_path / 'out' / 'line 2' / 'bad.npy'}: cannot be written" in str(done.exception)
    assert files(tmp_path / "out") == {"good.npy"}


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
