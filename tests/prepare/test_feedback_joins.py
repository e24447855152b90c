"""Confirmed images join a unit: never its test set, twins together, all else as it was."""

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.feedback import Confirmed
from blemish.images.labelme import labelme_shapes
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.masks import read_mask
from blemish.prepare.unit import prepare

SIDE = 96


def photo(path: Path, seed: int, noise: int = 0) -> Path:
    """Soft spots, the same for one seed; noise: another exposure of the same thing."""
    random = np.random.default_rng(seed)
    pixels = cv2.GaussianBlur(random.normal(128, 60, (SIDE, SIDE, 3)), (0, 0), 1.0)
    pixels += np.random.default_rng(1000 + noise).normal(0, 1, pixels.shape) if noise else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def confirmed(root: Path, seed: int, defect: str = "good", noise: int = 0) -> Confirmed:
    name = hashlib.sha256(f"{seed} {noise}".encode()).hexdigest()
    return Confirmed(photo(root / f"feedback/{name}.png", seed, noise), defect, None)


def prepared(root: Path, name: str, *feedback: Confirmed, split: str | None = None) -> Manifest:
    """A unit of 20 good images (published as train, or undivided) and 6 of the test set."""
    raw = root / "raw"
    items = [Item(photo(raw / f"good/{seed:03d}.png", seed), "good", split) for seed in range(20)]
    for seed in range(100, 106):
        kind = "spot" if seed % 2 else "good"
        items.append(Item(photo(raw / f"test/{seed:03d}.png", seed), kind, "test"))
    found = DataSet(
        name="set", title="", categories=("unit",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    folder = root / name
    folder.mkdir()
    prepare(found, "unit", raw, DataParams(), folder, feedback=feedback)
    return read_manifest(folder)


def own(manifest: Manifest) -> pd.DataFrame:
    return manifest.rows[~manifest.rows["image"].str.contains("feedback-")].reset_index(drop=True)


def joined(manifest: Manifest) -> pd.DataFrame:
    return manifest.rows[manifest.rows["image"].str.contains("feedback-")]


@pytest.mark.parametrize("split", [None, "train"])
def test_good_ones_train_and_validate_and_defects_are_a_slice(
    tmp_path: Path, split: str | None
) -> None:
    before = prepared(tmp_path, "before", split=split)
    given = [confirmed(tmp_path, seed) for seed in range(200, 220)]
    given += [confirmed(tmp_path, seed, "deep pit") for seed in range(300, 303)]
    after = prepared(tmp_path, "after", *given, split=split)
    pd.testing.assert_frame_equal(own(after), own(before))
    new = joined(after)
    goods, defects = new[new["label"] == 0], new[new["label"] == 1]
    assert goods["split"].value_counts().to_dict() == {"train": 17, "val": 3}  # 15 %
    assert set(goods["slice"]) == {""}
    assert (set(defects["split"]), set(defects["slice"])) == ({"val"}, {"feedback"})
    assert set(defects["defect"]) == {"deep pit"}
    assert all(image.startswith("selection/deep pit/") for image in defects["image"])
    assert all((after.root / image).is_file() for image in new["image"])
    assert any("17 confirmed good image(s) joined training and 3 validation; 3 confirmed" in note
               for note in after.facts.notes)  # fmt: skip
    # More feedback moves none but at the border of the share that is held out.
    more = prepared(tmp_path, "more", *given, confirmed(tmp_path, 230), split=split)
    both = joined(more).merge(joined(after), on="image")
    assert (both["split_x"] != both["split_y"]).sum() <= 1


def test_without_feedback_nothing_is_another_byte(tmp_path: Path) -> None:
    first, second = prepared(tmp_path, "a"), prepared(tmp_path, "b")
    content = (first.root / "manifest.parquet").read_bytes()
    assert (second.root / "manifest.parquet").read_bytes() == content


def test_twins_go_where_their_twins_are_and_those_of_test_images_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = own(prepared(tmp_path, "before", split="train"))
    place = {row["image"]: row["split"] for _, row in before.iterrows()}
    given = [confirmed(tmp_path, seed, noise=1) for seed in range(20)]  # twins of the unit's own
    given += [confirmed(tmp_path, seed, noise=1) for seed in (100, 101)]  # and of its test images
    given += [confirmed(tmp_path, 103, "spot")]  # a copy of a test image
    twins = [confirmed(tmp_path, 400, noise=number) for number in range(1, 8)]
    after = prepared(tmp_path, "after", *given, *twins, split="train")
    pd.testing.assert_frame_equal(own(after).drop(columns="group"), before.drop(columns="group"))
    new = joined(after).set_index("group")
    for image, split in place.items():
        if split != "test":
            group = own(after).set_index("image").loc[image, "group"]
            assert new.loc[group, "split"] == split
    assert len(new) == 20 + 7
    of_one_thing = [
        split for group, split in new["split"].items() if list(new.index).count(group) > 1
    ]
    assert len(of_one_thing) == 7
    assert len(set(of_one_thing)) == 1
    said = "3 confirmed image(s) are refused, for they show what the test set shows, such as "
    assert capsys.readouterr().err.count(f"set/unit: {said}") == 1
    assert any(note.startswith(said) for note in after.facts.notes)


def test_an_outline_becomes_the_mask(tmp_path: Path) -> None:
    one = confirmed(tmp_path, 300, "pit")
    outline = one.file.with_suffix(".json")
    outline.write_text(
        '{"shapes": [{"label": "pit", "shape_type": "rectangle", "points": [[10, 20], [30, 50]]}]}'
    )
    assert labelme_shapes(outline, (SIDE, SIDE))
    manifest = prepared(tmp_path, "after", Confirmed(one.file, one.defect, outline))
    (row,) = (row for _, row in joined(manifest).iterrows())
    mask = read_mask(manifest.root / row["mask"])
    ys, xs = np.mgrid[:SIDE, :SIDE]
    np.testing.assert_array_equal(mask, (xs >= 10) & (xs < 30) & (ys >= 20) & (ys < 50))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    one: Any = confirmed(tmp_path, 300)
    one.file.write_bytes(one.file.read_bytes()[:200])
    with pytest.raises(Exception, match=one.file.name):
        prepared(tmp_path, "after", one)
