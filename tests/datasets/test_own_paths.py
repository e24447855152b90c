"""What a path in `data.folders` means, and what a folder that is not there stops."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from blemish.core.errors import UserError
from blemish.core.params import load_params, read_yaml
from blemish.core.places import resolve_path
from blemish.datasets.listing import Digests, list_folder, options
from blemish.datasets.own_units import Faults, faults_of_folders
from stages import folder as stage
from tests.datasets.own_folders import only_good

ROOT = Path(__file__).resolve().parents[2]
OUT = Path("data/folders/bolts.json")


def write_params(path: Path, units: list[str], folders: dict[str, str]) -> Path:
    content = {**read_yaml(ROOT / "params.yaml"), "units": units}
    content["data"]["folders"] = folders
    YAML().dump(content, path)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, in which the process is; the user's home is beside it."""
    root = tmp_path / "line" / "project"
    (root / ".dvc/tmp/exps/tmp1").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("place", [".", ".dvc/tmp/exps/tmp1"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~/parts", "{base}/home/parts"),
        ("../photos", "{base}/line/photos"),
        ("photos/a b", "{base}/line/project/photos/a b"),
        ("/mnt/d$/x`y`", "/mnt/d$/x`y`"),
        ("$HOME/parts", "{base}/line/project/$HOME/parts"),
    ],
)
def test_a_path_means_the_same_in_dvc_s_copies(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, text: str,
    expected: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(project / place)
    assert os.path.normpath(resolve_path(text)) == expected.format(base=tmp_path)


def test_an_own_folder_makes_a_unit(tmp_path: Path) -> None:
    root = tmp_path / "photos of bolts"
    (root / "Gehäuse 8" / "good").mkdir(parents=True)
    path = write_params(tmp_path / "params.yaml", ["bolts/Gehäuse 8"], {"bolts": str(root)})
    params = load_params(path)
    assert params.units == ["bolts/Gehäuse 8"]
    assert faults_of_folders(params.units, params.data.folders) == Faults([], [])
    (wrong,) = faults_of_folders(["bolts/gehäuse 8"], params.data.folders).wrong
    assert "(did you mean 'Gehäuse 8'?); valid: Gehäuse 8" in wrong


def test_reading_params_asks_for_no_photographs(tmp_path: Path) -> None:
    """Results are read, and pulled, on machines that have none; `blemish params` says so."""
    heap = tmp_path / "heap"
    heap.mkdir()
    folders = {"bolts": "/nowhere/bolts", "nuts": str(heap)}
    path = write_params(tmp_path / "params.yaml", ["bolts/all", "nuts/M6"], folders)
    params = load_params(path)
    faults = faults_of_folders(params.units, params.data.folders)
    assert faults.absent == [
        "params.yaml: `data.folders.bolts` is '/nowhere/bolts': there is no such folder"
    ]
    (wrong,) = faults.wrong
    assert f"`data.folders.nuts` is '{heap}': found neither good/ nor train/good/" in wrong


@pytest.mark.parametrize("category", ["price $5", "tick`s", 'a "b"', "a\\b", "#1", "50 %", "* ?"])
def test_a_folder_s_name_may_hold_what_shells_read(category: str, tmp_path: Path) -> None:
    path = write_params(tmp_path / "params.yaml", [f"bolts/{category}"], {"bolts": "/nowhere"})
    assert load_params(path).units == [f"bolts/{category}"]


@pytest.mark.parametrize(
    ("category", "what"),
    [("x@y", "'@' in it"), ("o'brien", '"\'" in it'), ("a\tb", r"'\t' in it"), (".a", "a dot in")],
)
def test_a_folder_s_name_that_dvc_cannot_run_is_refused(
    category: str, what: str, tmp_path: Path
) -> None:
    path = write_params(tmp_path / "params.yaml", [f"bolts/{category}"], {"bolts": "/nowhere"})
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert f"DVC cannot run a folder with {what}" in str(caught.value)
    assert str(caught.value).endswith("rename the folder")


def listed(project: Path, text: str) -> Any:
    """What the stage `folder` writes."""
    write_params(project / "params.yaml", ["bolts/all"], {"bolts": text})
    stage.main("bolts", str(OUT))
    return json.loads(OUT.read_text(encoding="utf-8"))


def test_a_fault_is_that_of_its_own_category(project: Path) -> None:
    only_good(project.parent / "photos" / "M6")
    only_good(project.parent / "photos" / "M8")
    bad = os.fsdecode(bytes(project.parent / "photos/M8/good") + b"/gr\xfcn.png")
    (project.parent / "photos/M8/good/000.png").rename(bad)
    listing = list_folder("bolts", "../photos")
    assert len(options(listing, "bolts/M6", "M6")["files"]) == 20
    assert "is not UTF-8: rename it" in options(listing, "bolts/M8", "M8")["fault"]
    assert "has no 'M9'; it has: M6, M8" in options(listing, "bolts/M9", "M9")["fault"]


def test_where_the_folder_is_not_its_listing_stands(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = project.parent / "photos"
    only_good(photos)
    whole = listed(project, "../photos")
    assert len(whole["all"]) == 20
    photos.rename(project.parent / "elsewhere")
    assert listed(project, "../photos") == whole
    assert "there is no such folder: the listing made before stands" in capsys.readouterr().err
    other = listed(project, "../another")
    assert "there is no such folder" in other[""]["fault"]
    assert other.keys() == {""}


def test_a_folder_that_lost_its_shape_does_not_keep_its_listing(project: Path) -> None:
    photos = project.parent / "photos"
    only_good(photos)
    listed(project, "../photos")
    (photos / "good").rename(photos / "gut")
    assert "found neither good/ nor train/good/" in listed(project, "../photos")[""]["fault"]


def test_a_file_is_read_again_only_if_it_changed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    kept, file = tmp_path / "a/b/kept.json", tmp_path / "photo"
    file.write_bytes(b"one")
    digests = Digests(kept)
    first = digests.of(file)
    digests.keep()
    content = json.loads(kept.read_text())
    content[str(file)][-1] = "as remembered"
    kept.write_text(json.dumps(content))
    assert Digests(kept).of(file) == "as remembered"
    file.write_bytes(b"two")
    assert Digests(kept).of(file) not in ("as remembered", first)
