"""`blemish predict`: the files it writes, keeps and leaves behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from torch import Tensor

from blemish.methods.detector import Measured
from tests.predict.bright import COLUMNS, Bright, files, predict, write_image

pytestmark = pytest.mark.usefixtures("bright")


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
    measure, calls = Bright.measure, iter(range(9))

    def interrupted(self: Bright, batch: Tensor) -> Measured:
        if next(calls) == 3:  # after the look at nothing that prepares the network
            raise KeyboardInterrupt
        return measure(self, batch)

    monkeypatch.setattr(Bright, "measure", interrupted)
    monkeypatch.setattr("blemish.predict.session.cores", lambda: 1)  # one after the other
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


def test_maps_as_mvtec_s_server_takes_them(model: Path, images: Path, tmp_path: Path) -> None:
    done = predict(model, images, "--maps", tmp_path / "npy")
    assert done.exit_code == 0
    done = predict(model, images, "--maps", tmp_path / "out", "--maps-as-tiff")
    assert done.exit_code == 0
    assert files(tmp_path / "out") == {"good.tiff", "line 2/bad.tiff", "line 2/tall.tiff"}
    found = tifffile.imread(tmp_path / "out" / "line 2" / "bad.tiff")
    exact = np.load(tmp_path / "npy" / "line 2" / "bad.npy")
    assert (found.dtype, found.shape) == (np.float16, (192, 256))
    np.testing.assert_allclose(found, exact, rtol=1e-3)


def test_maps_do_not_replace_images(model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_image(photos / "good.tiff")
    before = (photos / "good.tiff").read_bytes()
    done = predict(model, photos, "--maps", photos, "--maps-as-tiff")
    assert "`--maps` would replace the image" in str(done.exception)
    assert (photos / "good.tiff").read_bytes() == before
