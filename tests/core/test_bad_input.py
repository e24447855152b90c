"""Bad input through the real stage scripts: one line, exit status 1, nothing half-written."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
RAW = Path("data/raw/bolts/all")
OUT = Path("data/prepared/bolts/all")
PREPARE = ["prepare", "bolts/all", "source.json", str(RAW), str(OUT)]
FETCH_TILE = ["fetch", "magnetic-tile/tile", "source.json", "data/raw/magnetic-tile/tile"]
FETCH_OWN = ["fetch", "bolts/all", "source.json", str(RAW)]
TEXTURES = ["textures", "data/textures"]
MIRROR = Path("mirror")


def picture(path: Path, width: int = 12, height: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(str(path).encode())).integers(0, 256, (height, width, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def good_folder(root: Path = RAW, count: int = 10) -> None:
    for number in range(count):
        picture(root / "good" / f"{number:03d}.png")


def annotated_folder() -> None:
    """Three scratches with their masks."""
    good_folder()
    for number in range(3):
        picture(RAW / "scratch" / f"{number:03d}.png")
        picture(RAW / "ground_truth" / "scratch" / f"{number:03d}_mask.png")


def cut(path: Path, share: float = 0.6) -> None:
    whole = path.read_bytes()
    path.unlink()  # its bytes may be linked to an earlier output
    path.write_bytes(whole[: int(share * len(whole))])


def truncated_image() -> None:
    good_folder()
    cut(RAW / "good" / "004.png")


def not_an_image() -> None:
    good_folder()
    (RAW / "good" / "photo.JPG").write_text("I am not a photograph")


def truncated_mask() -> None:
    annotated_folder()
    cut(RAW / "ground_truth" / "scratch" / "001_mask.png")


def missing_mask() -> None:
    annotated_folder()
    (RAW / "ground_truth" / "scratch" / "001_mask.png").unlink()


def type_without_masks() -> None:
    annotated_folder()
    picture(RAW / "dent" / "000.png")


def mask_of_another_size() -> None:
    annotated_folder()
    picture(RAW / "ground_truth" / "scratch" / "002_mask.png", 12, 9)


def empty_good() -> None:
    (RAW / "train" / "good").mkdir(parents=True)
    picture(RAW / "test" / "scratch" / "000.png")


def two_images() -> None:
    good_folder(count=2)


def own_folder_without_images() -> None:
    Path("empty/good").mkdir(parents=True)
    Path("source.json").write_text('{"options": {"files": {}}, "foreground": null}')


def listed_with_a_fault() -> None:
    fault = '{"fault": "params.yaml: `data.folders.bolts` is no such thing"}'
    Path("source.json").write_text(f'{{"options": {fault}, "foreground": null}}')


def wrong_archive(name: str, content: bytes) -> Callable[[], None]:
    def arrange() -> None:
        Path("source.json").write_text('{"options": {}, "foreground": null}')
        MIRROR.mkdir()
        (MIRROR / name).write_bytes(content)

    return arrange


def no_archive() -> None:
    Path("source.json").write_text('{"options": {}, "foreground": null}')


def no_params() -> None:
    Path("params.yaml").unlink()


def broken_yaml() -> None:
    Path("params.yaml").write_text("methods: [glass]\nunits: [elpv/mono\nseeds: [0]\n")


def nothing() -> None:
    pass


@dataclass(frozen=True)
class Case:
    """Arrange, run a stage, expect these parts in its one line of complaint."""

    arrange: Callable[[], None]
    stage: list[str]
    parts: list[str]
    settings: dict[str, Any] = field(default_factory=dict)


OWN = {"units": ["bolts/all"]}
DTD = {"textures": "dtd"}
REPLACE = "replace or remove the file"
CASES = {
    "truncated image": Case(
        truncated_image, PREPARE, ["good/004.png", "whole image", REPLACE], OWN
    ),
    "text as image": Case(not_an_image, PREPARE, ["good/photo.JPG", "whole image", REPLACE], OWN),
    "truncated mask": Case(truncated_mask, PREPARE, ["scratch/001_mask.png", REPLACE], OWN),
    "missing mask": Case(
        missing_mask,
        PREPARE,
        ["scratch/001.png: no mask", "expected 001_mask.png", "add the mask or remove the image"],
        OWN,
    ),
    "type without masks": Case(
        type_without_masks,
        PREPARE,
        [
            "dent/000.png: no mask, while other defective",
            "give every defective image a mask, or none",
        ],
        OWN,
    ),
    "mask of another size": Case(
        mask_of_another_size,
        PREPARE,
        ["002_mask.png: the mask is 12×9", "002.png is 12×8", "give both the same size", "photos"],
        OWN,
    ),
    "empty good": Case(
        empty_good, PREPARE, ["train/good: no images", "training normals belong there"], OWN
    ),
    "two images": Case(
        two_images, PREPARE, ["bolts/all", "1 normal images are left", "add normal images"], OWN
    ),
    "own folder without images": Case(
        own_folder_without_images,
        FETCH_OWN,
        ["bolts/all: no image of this category in ", "/empty: put the normal", "into good/"],
        {**OWN, "folders": {"bolts": "empty"}},
    ),
    "folder that is gone": Case(
        nothing,
        FETCH_OWN,
        ["`data.folders.bolts` is '", "/gone': there is no such folder", "bolts/all needs its"],
        {**OWN, "folders": {"bolts": "gone"}},
    ),
    "fault that was found when the folder was listed": Case(
        listed_with_a_fault, FETCH_OWN, ["bolts/all: params.yaml: `data.folders.bolts` is"], OWN
    ),
    "wrong checksum": Case(
        wrong_archive("magnetic-tile.zip", b"<html>moved</html>"),
        FETCH_TILE,
        ["mirror/magnetic-tile.zip: wrong checksum", "delete it and fetch it again"],
    ),
    "missing archive": Case(
        no_archive,
        FETCH_TILE,
        [
            "magnetic-tile.zip could not be had",
            "asked: BLEMISH_MIRROR",
            "put it into data/downloads",
        ],
    ),
    "wrong textures": Case(
        wrong_archive("dtd-10of47.tar", b"\0" * 20480),
        TEXTURES,
        ["mirror/dtd-10of47.tar: wrong checksum", "delete it and fetch it again"],
        DTD,
    ),
    "missing textures": Case(
        nothing,
        TEXTURES,
        ["dtd-r1.0.1.tar.gz or dtd-10of47.tar could not be had", "www.robots.ox.ac.uk"],
        DTD,
    ),
    "no params.yaml": Case(no_params, TEXTURES, ["params.yaml is missing: run from the project"]),
    "broken params.yaml": Case(broken_yaml, TEXTURES, ["params.yaml, line 3: not valid YAML"]),
    "unknown unit": Case(
        nothing,
        TEXTURES,
        ["`units.0` is 'elpv/mno'", "did you mean 'mono'"],
        {"units": ["elpv/mno"]},
    ),
}


def run(stage: list[str]) -> subprocess.CompletedProcess[str]:
    """A stage as DVC runs it. Public URLs end at a proxy that is not there."""
    closed = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )
    environment = {**os.environ, **closed, "BLEMISH_MIRROR": str(MIRROR)}
    environment.pop("NO_PROXY", None)
    environment.pop("no_proxy", None)
    command = [sys.executable, str(ROOT / "stages" / f"{stage[0]}.py"), *stage[1:]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def everything(root: Path) -> list[Path]:
    """All files but the empty ones by which processes keep apart."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")


def write_params(settings: dict[str, Any]) -> None:
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["units"] = settings.get("units", ["magnetic-tile/tile"])
    content["data"]["folders"] = settings.get("folders", {"bolts": "photos"})
    content["synthesis"]["textures"]["source"] = settings.get("textures", "builtin")
    YAML().dump(content, Path("params.yaml"))


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    good_folder(Path("photos"))
    write_params(case.settings)
    Path("source.json").write_text('{"options": {"files": {}}, "foreground": null}')
    case.arrange()
    before = everything(tmp_path)
    done = run(case.stage)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for part in case.parts:
        assert part in done.stderr
    assert everything(tmp_path) == before
    assert not (tmp_path / case.stage[-1]).exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".unfinished")]


def test_a_failed_stage_leaves_the_earlier_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good_folder(Path("photos"))
    write_params(OWN)
    good_folder()
    Path("source.json").write_text('{"options": {"files": {}}, "foreground": null}')
    assert run(PREPARE).returncode == 0
    before = {path: path.read_bytes() for path in OUT.rglob("*") if path.is_file()}
    assert len(before) == 11
    cut(RAW / "good" / "003.png")
    assert run(PREPARE).returncode == 1
    assert {path: path.read_bytes() for path in OUT.rglob("*") if path.is_file()} == before
