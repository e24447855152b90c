"""Images as they come: linked folders, line scans, 16-bit files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.predict.inputs import find_images
from tests.predict.bright import predict, write_image, write_model

pytestmark = pytest.mark.usefixtures("bright")


def names(folder: Path) -> list[str]:
    return [source.name.as_posix() for source in find_images([str(folder)], [])]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write_image(tmp_path / "disk/day1/b.png")
    write_image(tmp_path / "new/a.png")
    (tmp_path / "new/day1").symlink_to("../disk/day1")
    assert names(tmp_path / "new") == ["a.png", "day1/b.png"]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    write_image(tmp_path / "new/a.png")
    write_image(tmp_path / "new/inner/b.png")
    (tmp_path / "new/inner/up").symlink_to("..")
    (tmp_path / "new/again").symlink_to("inner")
    assert sorted(Path(name).name for name in names(tmp_path / "new")) == ["a.png", "b.png"]


def test_a_link_to_a_file_is_an_image(tmp_path: Path) -> None:
    write_image(tmp_path / "disk/b.png")
    (tmp_path / "new").mkdir()
    (tmp_path / "new/b.png").symlink_to("../disk/b.png")
    assert names(tmp_path / "new") == ["b.png"]


def test_a_crop_says_how_much_it_saw(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", resize="crop")
    write_image(tmp_path / "scan/a.png", (2000, 100))
    write_image(tmp_path / "scan/b.png", (100, 100))
    said = predict(model, tmp_path / "scan").stderr
    assert "1 image(s) were judged in part: the centre crop sees 5% of the image at least" in said
    line = predict(model, tmp_path / "scan", "--json").stdout.splitlines()[-1]
    assert json.loads(line)["summary"]["least_seen"] == pytest.approx(0.05)


def test_nothing_is_said_of_whole_images(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    write_image(tmp_path / "scan/a.png", (2000, 100))
    assert "judged in part" not in predict(model, tmp_path / "scan").stderr


def test_sixteen_bits_mean_what_they_meant_in_training(tmp_path: Path) -> None:
    pixels = np.full((64, 64), 400, np.uint16)
    pixels[20:40, 20:40] = 1000  # of 1023: nearly white
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/a.tif")
    trained = write_model(tmp_path / "trained", levels=(0, 1023))
    score = json.loads(predict(trained, tmp_path / "images", "--json").stdout.splitlines()[0])
    assert score["score"] == pytest.approx(10 * (1000 * 255 // 1023) / 255)
    other = write_model(tmp_path / "other")
    score = json.loads(predict(other, tmp_path / "images", "--json").stdout.splitlines()[0])
    assert score["score"] == pytest.approx(10 * (1000 * 255 // 65535) / 255)
