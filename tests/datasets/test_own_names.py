"""Own folders as people, tools and publishers name them; and what is said where none fits."""

from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.datasets.own_folder import categories_in
from tests.datasets.own_folders import (
    annotation,
    counts,
    covered,
    only_good,
    picture,
    pictures,
    prepared,
    split_counts,
)


@pytest.mark.parametrize(
    "name",
    ["Good", "GOOD", "ok", "OK", "Ok", "normal", "Normal", "nominal", "defect-free", "No Defect"],
)
def test_the_folder_of_normal_images_has_many_names(name: str, tmp_path: Path) -> None:
    pictures(tmp_path / "own" / name, 20)
    picture(tmp_path / "own/scratch/a.png")
    annotation(tmp_path / "own/ground_truth/scratch/a.png")
    assert categories_in("bolts", tmp_path / "own") == ("all",)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert split_counts(manifest) == {"train": 16, "good": 4, "bad": 1}
    assert covered(manifest)


@pytest.mark.parametrize("place", ["ground_truth", "masks", "mask", "gt", "labels", "Label", "GT"])
@pytest.mark.parametrize("suffix", ["", "_mask", "_GT", "_gt", "_label", "_labels"])
def test_masks_have_many_names(place: str, suffix: str, tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    for number in range(2):
        picture(tmp_path / f"own/scratch/{number}.jpg")
        annotation(tmp_path / f"own/{place}/scratch/{number}{suffix}.png")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "pixel"
    assert covered(manifest)
    assert len(manifest.rows) == 22


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Train", "Test"), ("TRAIN", "test")]
)
def test_btad(train: str, test: str, tmp_path: Path) -> None:
    for category in ("01", "03"):
        root = tmp_path / "own" / category
        pictures(root / train / "ok", 10, ".bmp")
        pictures(root / test / "ok", 4, ".bmp")
        pictures(root / test / "ko", 3, ".bmp")
        for number in range(3):
            annotation(root / "ground_truth/ko" / f"{number:04d}.png")
    assert categories_in("btad", tmp_path / "own") == ("01", "03")
    manifest = prepared(tmp_path / "own", tmp_path, "03")
    assert split_counts(manifest) == {"train": 10, "good": 4, "bad": 3}
    assert set(manifest.rows["defect"]) == {"good", "ko"}
    assert covered(manifest)


def test_a_validation_part_is_kept(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("validation", 3), ("test", 2)):
        pictures(tmp_path / "own" / part / "good", count)
    pictures(tmp_path / "own/test/bad", 2)
    found = counts(prepared(tmp_path / "own", tmp_path))
    assert found["val", "good"] == 3
    assert found["train", "good"] == 10


def test_a_defect_type_may_be_called_label(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    pictures(tmp_path / "own/label", 3)
    assert counts(prepared(tmp_path / "own", tmp_path))["test", "label"] == 3


def test_images_and_masks_in_folders_of_their_own(tmp_path: Path) -> None:
    pictures(tmp_path / "own/Images/Normal", 20)
    pictures(tmp_path / "own/Images/Anomaly", 3)
    for number in range(3):
        annotation(tmp_path / "own/Masks/Anomaly" / f"{number:04d}.png")
    assert categories_in("bolts", tmp_path / "own") == ("all",)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert split_counts(manifest) == {"train": 16, "good": 4, "bad": 3}
    assert covered(manifest)


def test_a_category_called_images_stays_one(tmp_path: Path) -> None:
    only_good(tmp_path / "own/images")
    assert categories_in("bolts", tmp_path / "own") == ("images",)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({"fine": 3, "scratch": 2}, ["fine/ (3 images), scratch/ (2 images)"]),
        ({"Train/fine": 3, "Test/bad": 2}, ["Test/bad/ (2 images), Train/fine/ (3 images)"]),
        ({".": 4}, ["no sub-folder (4 images)"]),
        ({}, ["but nothing", "put the normal images into good/ (or ok, normal, nominal)"]),
    ],
)
def test_otherwise_the_error_says_what_lies_there(
    folders: dict[str, int], words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    for folder, count in folders.items():
        pictures(tmp_path / "own" / folder, count)
    with pytest.raises(UserError) as caught:
        categories_in("bolts", tmp_path / "own")
    for part in ["`data.folders.bolts`", "neither good/ nor train/good/", *words]:
        assert part in str(caught.value)


def test_masks_beside_defects_do_not_hide_that_the_normal_images_have_another_name(
    tmp_path: Path,
) -> None:
    pictures(tmp_path / "own/fine", 5)
    pictures(tmp_path / "own/scratch", 2)
    annotation(tmp_path / "own/scratch/0000_mask.png")
    with pytest.raises(UserError, match=r"but fine/ \(5 images\), scratch/ \(3 images\): put the"):
        categories_in("bolts", tmp_path / "own")
