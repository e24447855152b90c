"""`blemish watch` on ten thousand images: each is judged, once, in the order of their times."""

import csv
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blemish.commands.app import app
from tests.predict.bright import write_image

MANY, LATER = 10_000, 100


@pytest.mark.usefixtures("bright")
def test_ten_thousand_images_and_some_more(model: Path, tmp_path: Path) -> None:
    one = write_image(tmp_path / "in/00000.png", (64, 64))
    for number in range(1, MANY):
        os.link(one, one.with_name(f"{number:05d}.png"))
    assert watch(model, one.parent) == MANY
    for number in range(MANY, MANY + LATER):
        os.link(one, one.with_name(f"{number:05d}.png"))
    assert watch(model, one.parent) == LATER
    with (tmp_path / "found.csv").open(newline="") as stream:
        judged = [row["image"] for row in csv.DictReader(stream)]
    assert judged == [f"{number:05d}.png" for number in range(MANY + LATER)]


def watch(model: Path, folder: Path) -> int:
    """Judge what is there and new; how many images that was."""
    words = ["watch", model, folder, "--scores", folder.parent / "found.csv", "--rest", "0"]
    done = CliRunner().invoke(app, [*map(str, words), "--once"])
    assert done.exit_code == 0, done.output
    return len(done.stdout.splitlines())
