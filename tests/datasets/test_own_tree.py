"""Every file of an own folder that can be read is used; what is not is counted in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.datasets.dataset import FORMATS, IMAGE_SUFFIXES
from blemish.datasets.own_folder import folder_data_set, inventory
from tests.datasets.own_folders import counts, only_good, picture, prepared

WRITTEN = sorted(IMAGE_SUFFIXES - {".pbm"})


@pytest.mark.parametrize("suffix", [*WRITTEN, ".PGM", ".Jfif"])
def test_what_the_decoder_reads_is_taken(suffix: str, tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    (kind,) = (name for name, known in FORMATS.items() if suffix.lower() in known.split())
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    grey = suffix.lower() in {".pgm", ".bw", ".gif"}
    file = tmp_path / "own/scratch" / f"000{suffix}"
    file.parent.mkdir()
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(file, format=kind)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert counts(manifest)["test", "scratch"] == 1
    assert "left out" not in " ".join(manifest.facts.notes)


@pytest.mark.parametrize("suffix", [".eps", ".pdf", ".ps", ".wmf", ".hdf", ".mpg", ".fits"])
def test_formats_that_are_programs_or_stubs_are_no_images(suffix: str) -> None:
    assert suffix not in IMAGE_SUFFIXES


def test_images_lie_at_any_depth(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "own/good/day 1/cam 2/x.png")
    picture(tmp_path / "own/good/day 1/cam 2/left/x.png")
    picture(tmp_path / "own/dent/day 1/x.pgm")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert len(manifest.rows) == 23
    assert counts(manifest)["test", "dent"] == 1


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "disk/day 1/x.png")
    (tmp_path / "own/good/disk").symlink_to(tmp_path / "disk")
    (tmp_path / "own/good/again").symlink_to(tmp_path / "own")
    (tmp_path / "disk/back").symlink_to(tmp_path / "own/good")
    (tmp_path / "own/good/self").symlink_to("self")
    names = inventory(tmp_path / "own", "all")
    assert len(names) == 21
    assert "good/disk/day 1/x.png" in names


def test_what_is_left_out_is_counted_by_suffix_and_place(tmp_path: Path) -> None:
    own = tmp_path / "own"
    only_good(own)
    picture(own / "scratch/000.png")
    for number in range(12):
        (own / f"good/{number} a.txt").write_text("seen by Kim")
    for number in range(3):
        (own / f"scratch/{number}.heic").write_bytes(b"x")
    (own / "scratch/day 1").mkdir()
    (own / "scratch/day 1/4.HEIC").write_bytes(b"x")
    (own / "README").write_text("x")
    (own / "good/gone.png").symlink_to("nowhere.png")
    (own / "good/.hidden.txt").write_text("x")
    note = (
        "left out: 1 without suffix in the folder itself, 1 .png in good/, 12 .txt in good/, "
        "4 .heic in scratch/"
    )
    assert note in prepared(own, tmp_path).facts.notes
    assert len(inventory(own, "all")) == 21


def test_the_line_about_what_is_left_out_stays_short(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    for number in range(40):
        (tmp_path / f"own/good/a.{number}x").write_text("x")
    (note,) = (n for n in prepared(tmp_path / "own", tmp_path).facts.notes if "left" in n)
    assert note.endswith("28 more kinds")


def test_a_file_that_nothing_reads_is_not_copied(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    (tmp_path / "own/good/film.mp4").write_bytes(b"x" * 1000)
    folder_data_set("bolts", str(tmp_path / "own")).fetch("all", tmp_path / "raw")
    assert not list(tmp_path.glob("raw/**/*.mp4"))
    assert (tmp_path / "raw/.left-out.txt").read_text() == "1 .mp4 in good/"


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_good(tmp_path / "own")

    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match=r"own: cannot be listed \(Permission denied\)"):
        inventory(tmp_path / "own", "all")


@pytest.mark.parametrize("defects", [0, 2])
def test_where_no_normal_image_can_be_read_the_error_says_what_lies_there(
    defects: int, tmp_path: Path
) -> None:
    (tmp_path / "own/good").mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"own/good/{number}.heic").write_bytes(b"x")
    for number in range(defects):
        picture(tmp_path / f"own/dent/{number}.png")
    with pytest.raises(UserError, match=r"left out: 3 \.heic in good/"):
        prepared(tmp_path / "own", tmp_path)
