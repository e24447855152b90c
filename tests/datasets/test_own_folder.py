"""A user's own folder, in each shape, becomes the one layout; nothing is lost or changed."""

import importlib
import json
import os
import stat
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from blemish.core.errors import UserError
from blemish.datasets.own_folder import categories_in, inventory
from blemish.download.unpack import unpack
from blemish.images.manifest import read_manifest
from tests.datasets.own_folders import (
    SHAPES,
    annotation,
    counts,
    loose_shape,
    mvtec_shape,
    only_good,
    picture,
    prepared,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_becomes_the_one_layout(shape: str, tmp_path: Path) -> None:
    make, expected, masks, notes = SHAPES[shape]
    make(tmp_path / "own")
    assert categories_in("bolts", tmp_path / "own") == ("all",)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert counts(manifest) == expected
    assert manifest.facts.unit == "bolts/all"
    assert manifest.facts.masks == masks
    assert len(manifest.facts.notes) == len(notes)
    for note, part in zip(manifest.facts.notes, notes, strict=True):
        assert part in note
    for row in manifest.rows.itertuples():
        folder = "test" if row.split == "test" else "train"
        assert Path(row.image).parent.as_posix() == f"{folder}/{row.defect}"
        assert (row.width, row.height) == (12, 8)
        assert (manifest.root / row.image).is_file()
        assert row.label == int(row.defect != "good")
        if row.label and masks == "pixel":
            mask = np.asarray(Image.open(manifest.root / row.mask))
            assert row.mask == f"ground_truth/{row.defect}/{Path(row.image).stem}_mask.png"
            assert np.argwhere(mask == 255).tolist() == [[0, 0]]
    files = {p.relative_to(manifest.root).as_posix() for p in manifest.root.rglob("*.png")}
    assert files == {*manifest.rows["image"], *manifest.rows["mask"].dropna()}


def test_published_names_stay(tmp_path: Path) -> None:
    """train/good/000.png and test/good/000.png go to different folders: both keep their names."""
    mvtec_shape(tmp_path / "own")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert {"train/good/000.png", "test/good/000.png"} <= set(manifest.rows["image"])
    source = tmp_path / "own" / "test" / "good" / "000.png"
    assert (manifest.root / "test/good/000.png").read_bytes() == source.read_bytes()


def test_defects_without_masks_give_image_metrics_only(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "own" / "scratch" / "a.png")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "none"
    assert "no masks: only image metrics" in manifest.facts.notes[-1]
    assert manifest.rows["mask"].isna().all()


def test_sub_folders_are_categories(tmp_path: Path) -> None:
    only_good(tmp_path / "own" / "M6")
    mvtec_shape(tmp_path / "own" / "Gehäuse 8")
    picture(tmp_path / "own" / "notes" / "x.png")
    assert categories_in("bolts", tmp_path / "own") == ("Gehäuse 8", "M6")
    assert counts(prepared(tmp_path / "own", tmp_path / "a", "M6"))["train", "good"] == 13
    manifest = prepared(tmp_path / "own", tmp_path / "b", "Gehäuse 8")
    assert manifest.facts.unit == "bolts/Gehäuse 8"
    assert counts(manifest)["test", "scratch"] == 3


def test_any_name_and_suffix_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "Prüf bilder" / "Serie 1"
    names = ["Zelle Ä 1.PNG", "電池.png", "a'b\"c.BMP", "x.tar.png", "b.TIFF", "🔩 5.webp", "l.JPG"]
    for name in names:
        picture(root / "good" / name)
    picture(root / "Kratzer, tief" / "é 1.PNG")
    annotation(root / "ground_truth" / "Kratzer, tief" / "é 1_mask.BMP")
    manifest = prepared(root, tmp_path)
    good = manifest.rows[manifest.rows["label"] == 0]
    assert {Path(image).name for image in good["image"]} == set(names)
    defective = manifest.rows[manifest.rows["label"] == 1].iloc[0]
    assert defective["image"] == "test/Kratzer, tief/é 1.PNG"
    assert defective["mask"] == "ground_truth/Kratzer, tief/é 1_mask.png"


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    only_good(tmp_path)
    picture(Path(os.fsdecode(bytes(tmp_path / "good") + b"/gr\xfcn.png")))
    with pytest.raises(UserError, match=r"gr\\udcfcn\.png': the file's name is not UTF-8: rename"):
        inventory(tmp_path, "all")


def test_what_is_hidden_or_elsewhere_is_not_mistaken_for_a_defect(tmp_path: Path) -> None:
    loose_shape(tmp_path / "own")
    before = inventory(tmp_path / "own", "all")
    picture(tmp_path / "own" / ".thumbnails" / "000.png")
    picture(tmp_path / "own" / "good" / "._000.png")
    (tmp_path / "own" / "good" / "notes.txt").write_text("x")
    assert inventory(tmp_path / "own", "all") == before
    picture(tmp_path / "own" / "000.png")
    picture(tmp_path / "own" / "M8" / "good" / "000.png")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert counts(manifest) == SHAPES["loose"][1]
    note = "left out: 1 .txt in good/, 1 .png in the folder itself, 1 .png in M8/"
    assert manifest.facts.notes[-1] == note


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    loose_shape(tmp_path / "disk")
    (tmp_path / "own").mkdir()
    for name in ("good", "scratch", "dent", "ground_truth"):
        (tmp_path / "own" / name).symlink_to(tmp_path / "disk" / name)
    assert counts(prepared(tmp_path / "own", tmp_path)) == SHAPES["loose"][1]


def test_equal_stems_of_one_type_keep_apart(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "own" / "good" / "000.bmp", width=14)
    manifest = prepared(tmp_path / "own", tmp_path)
    names = {Path(image).name for image in manifest.rows["image"]}
    assert {"good__000.png", "good__000.bmp", "001.png"} <= names
    assert len(names) == len(manifest.rows) == 21


def test_an_added_image_leaves_the_others_in_their_splits(tmp_path: Path) -> None:
    mvtec_shape(tmp_path / "own")
    before = prepared(tmp_path / "own", tmp_path / "before").rows.set_index("image")["split"]
    picture(tmp_path / "own" / "test" / "good" / "007.png")
    picture(tmp_path / "own" / "test" / "dent" / "007.png")
    annotation(tmp_path / "own" / "ground_truth" / "dent" / "007.png")
    after = prepared(tmp_path / "own", tmp_path / "after").rows.set_index("image")["split"]
    assert (after[before.index] == before).all()
    assert set(after.index) - set(before.index) == {"test/good/007.png", "test/dent/007.png"}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    loose_shape(tmp_path / "own")
    first, second = (prepared(tmp_path / "own", tmp_path / name).root for name in "ab")
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_rotated_photograph_meets_the_mask_of_what_one_sees(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    exif = Image.Exif()
    exif[0x0112] = 6
    path = picture(tmp_path / "own" / "scratch" / "a.png")
    with Image.open(path) as image:
        image.save(path, exif=exif)
    annotation(tmp_path / "own" / "ground_truth" / "scratch" / "a.png", width=8, height=12)
    row = prepared(tmp_path / "own", tmp_path).rows.query("label == 1").iloc[0]
    assert (row["width"], row["height"]) == (8, 12)


def test_faults_name_the_file_and_the_folder_to_correct(tmp_path: Path) -> None:
    loose_shape(tmp_path / "own")
    annotation(tmp_path / "own" / "ground_truth" / "dent" / "001.png", width=13)
    with pytest.raises(UserError) as caught:
        prepared(tmp_path / "own", tmp_path)
    raw = tmp_path / "raw"
    assert str(caught.value) == (
        f"{raw}/ground_truth/dent/001.png: the mask is 13×8 but its image 001.png is 12×8: give "
        f"both the same size ({raw} is a copy of {tmp_path / 'own'})"
    )


def test_the_fragment_of_a_real_set_is_refused_by_name(mirror: Path, tmp_path: Path) -> None:
    """mvtec-leather-sample.tar: 20 defective images, 18 masks, 11 of them of one of the images."""

    unpack(mirror / "mvtec-leather-sample.tar", tmp_path)
    (folder,) = tmp_path.iterdir()
    folder.rename(tmp_path / "own")
    with pytest.raises(UserError, match=r"test/\w+/\d{3}\.png: no mask in .+/ground_truth/\w+ \("):
        prepared(tmp_path / "own", tmp_path)


def stage(name: str) -> ModuleType:
    return importlib.import_module(f"stages.{name}")


def test_the_four_stages_leave_the_user_s_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "photos"
    loose_shape(own / "M6")
    for file in own.rglob("*.png"):
        file.chmod(0o640)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    content["units"], content["data"]["folders"] = ["bolts/M6"], {"bolts": "../photos"}
    YAML().dump(content, Path("params.yaml"))
    stage("code").main(str(ROOT / "requirements.lock"), "data/code")
    stage("folder").main("bolts", "data/folders/bolts.json")
    stage("sources").main("data/code/datasets", "data/folders", "data/sources")
    source = json.loads(Path("data/sources/bolts/M6.json").read_text())
    assert (source["unit"], len(source["options"]["files"])) == ("bolts/M6", 32)
    stage("fetch").main("bolts/M6", "data/sources/bolts/M6.json", "data/raw/bolts/M6")
    paths = ("data/sources/bolts/M6.json", "data/raw/bolts/M6", "data/prepared/bolts/M6")
    stage("prepare").main("bolts/M6", *paths)
    assert counts(read_manifest(Path("data/prepared/bolts/M6"))) == SHAPES["loose"][1]
    for file in Path("data").rglob("*.png"):
        file.chmod(0o444)  # as DVC does
    for file in own.rglob("*.png"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
    first = Path("data/sources/bolts/M6.json").read_bytes()
    picture(own / "M6" / "good" / "000.png", width=20)
    stage("folder").main("bolts", "data/folders/bolts.json")
    stage("sources").main("data/code/datasets", "data/folders", "data/sources")
    assert Path("data/sources/bolts/M6.json").read_bytes() != first
