"""`blemish watch` as a process: killed, told to end, on a full disk.

A full disk is a limit on the size of files (RLIMIT_FSIZE), at which writes fail half-way as they
do there: a small file system to fill would need root.
"""

import csv
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.methods.tiny import trained
from tests.predict.bright import files, write_image

PATIENCE = 300  # s
COMMAND = [sys.executable, "-c", "from blemish.commands.app import main; main()", "watch"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A hundred pictures that differ."""
    for number in range(100):
        spot = (10, 10, 5 + number % 40, 8, 100 + number)
        write_image(tmp_path / "in" / f"{number:03d}.png", (64, 64), spot)
    return tmp_path / "in"


def start(images: Path, *words: str, limit: int | None = None) -> subprocess.Popen[str]:
    """limit: bytes that a file may have."""

    def lower() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    place = images.parent
    options = ["--scores", place / "found.csv", "--overlays", place / "look", "--rest", "0"]
    return subprocess.Popen(
        [*COMMAND, trained("patchcore"), images, *options, "--device", "cpu", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lower,
    )


def rows(images: Path) -> list[dict[str, str]]:
    table = images.parent / "found.csv"
    if not table.exists():
        return []
    with table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def wait(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def assert_all_once(images: Path) -> None:
    """Each image has one whole row and one whole overlay."""
    expected = {file.name for file in images.iterdir()}
    assert sorted(row["image"] for row in rows(images)) == sorted(expected)
    assert all(row["decision"] in ("0", "1") and row["height"] == "64" for row in rows(images))
    look = images.parent / "look"
    assert files(look) == {f"{name}.png" for name in expected}
    for file in look.iterdir():
        Image.open(file).load()


def test_killed_again_and_again_each_image_is_judged_once(images: Path) -> None:
    for count in (5, 60):
        process = start(images)
        wait(process, lambda count=count: len(rows(images)) >= count)
        process.kill()
        process.communicate()
    # As a kill while it writes leaves them.
    half = images.parent / f"look/.099.png.png.{process.pid}.unfinished"
    half.write_bytes(b"half")
    with (images.parent / "found.csv").open("a") as stream:
        stream.write("099.png,12,3")
    assert start(images, "--once").wait(PATIENCE) == 0
    assert_all_once(images)


def test_told_to_end_it_ends_cleanly_and_goes_on_later(images: Path) -> None:
    process = start(images)
    wait(process, lambda: len(rows(images)) >= 10)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    judged = [row["image"] for row in rows(images)]
    assert [line.split()[-1] for line in output.splitlines()] == judged
    process = start(images)
    wait(process, lambda: len(rows(images)) == 100)
    write_image(images / "late.png", (64, 64))
    wait(process, lambda: len(rows(images)) == 101)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert_all_once(images)


def test_a_full_disk_ends_it_with_one_line_and_nothing_half_written(images: Path) -> None:
    process = start(images, "--once", limit=5000)  # bytes: the table is full before the pictures
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert (
        errors
        == f"error: {images.parent / 'found.csv'}: cannot be written (No space left on device)\n"
    )
    content = (images.parent / "found.csv").read_text()
    assert content.endswith("\n")
    assert 10 < len(rows(images)) < 100
    assert (images.parent / "found.csv").stat().st_size <= 5000
    assert start(images, "--once").wait(PATIENCE) == 0
    assert_all_once(images)


def test_an_overlay_that_does_not_fit_ends_it_too(images: Path) -> None:
    process = start(images, "--once", limit=300)  # bytes: the table's first line fits
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "look" in errors
    assert "cannot be written" in errors
    assert len(errors.splitlines()) == 1
    assert files(images.parent / "look") == set()
    assert rows(images) == []
