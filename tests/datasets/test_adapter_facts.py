"""What each adapter says about its images: slices, channels, splits, groups, notes."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.dataset import Item, Layout, data_set
from blemish.images.manifest import read_manifest
from blemish.prepare.unit import prepare
from tests.miniatures import layouts


def of(layout: Layout, **where: object) -> list[Item]:
    return [
        item
        for item in layout.items
        if all(getattr(item, name) == value for name, value in where.items())
    ]


def test_loco_slices_and_channels(tmp_path: Path) -> None:
    layouts.loco(tmp_path)
    raw = tmp_path / "screw_bag"
    layout = data_set("loco", {}).layout(raw, "screw_bag")
    assert Counter(item.slice for item in layout.items if item.label) == {
        "structural": 3,
        "logical": 4,
    }
    assert {item.slice for item in layout.items if not item.label} == {""}
    assert layout.extra_slices == ()
    assert layout.files == (raw / "defects_config.json",)
    first = of(layout, defect="logical_anomalies")[0]
    assert first.channels == raw / "ground_truth" / "logical_anomalies" / "000"
    only = data_set("loco-logical", {}).layout(raw, "screw_bag")
    assert {item.slice for item in only.items} == {""}
    assert len(of(only, defect="good", split="val")) == 2


def test_loco_keeps_its_channels_its_config_and_its_validation(tmp_path: Path) -> None:
    layouts.loco(tmp_path / "archive")
    folder = tmp_path / "prepared"
    folder.mkdir()
    raw = tmp_path / "archive" / "screw_bag"
    prepare(data_set("loco", {}), "screw_bag", raw, DataParams(), folder)
    manifest = read_manifest(folder)
    rows = manifest.rows
    assert dict(rows["split"].value_counts()) == {"train": 6, "val": 2, "test": 9}
    assert (folder / "defects_config.json").read_bytes() == (
        raw / "defects_config.json"
    ).read_bytes()
    row = rows[rows["defect"] == "structural_anomalies"].iloc[0]
    assert {path.name for path in (folder / row["channels"]).iterdir()} == {"000.png", "001.png"}
    union = np.asarray(Image.open(folder / row["mask"]))
    assert (union == 255).sum() == 4 * 4 + 2 * 2
    assert any("Published: 360 train images; found: 6" in note for note in manifest.facts.notes)


def test_mad_subsets_are_slices_and_the_strongest_stays_outside(tmp_path: Path) -> None:
    subsets = tmp_path / "archive"
    layouts.mad_sys(subsets)
    raw = tmp_path / "raw"
    layouts.category(raw, good=0, defective=0)
    for subset in (subsets / "MAD-sys").iterdir():
        (subset / "leather").rename(raw / subset.name)
    layout = data_set("mad-sys", {}).layout(raw, "leather")
    names = [f"beta-0.{digit}" for digit in (1, 3, 5, 7, 9)]
    assert Counter(item.slice for item in layout.items) == {"": 6, **dict.fromkeys(names, 5)}
    assert all(len(of(layout, slice=name, defect="good")) == 2 for name in names)
    assert layout.extra_slices == ("beta-0.9",)
    assert any("MVTec AD training images" in note for note in layout.notes)


def test_mad_man_says_that_its_images_are_mvtec_s(tmp_path: Path) -> None:
    layouts.category(tmp_path, good=0, defective=0)
    layouts.category(tmp_path / "Person_4", train=0)
    layout = data_set("mad-man", {}).layout(tmp_path, "screw")
    assert {item.slice for item in layout.items} == {"", "person-4"}
    assert any("MVTec AD test images" in note for note in layout.notes)
    assert layout.extra_slices == ()


def test_visa_follows_the_table_and_not_the_folders(tmp_path: Path) -> None:
    layouts.visa(tmp_path)
    table = tmp_path / "split_csv" / "1cls.csv"
    line = "candle,train,normal,candle/Data/Images/Normal/0003.JPG,"
    table.write_text(table.read_text().replace(line, line.replace("train", "test")))
    layout = data_set("visa", {}).layout(tmp_path, "candle")
    assert len(of(layout, split="train")) == 5
    assert {item.image.name for item in of(layout, split="test", defect="good")} == {
        *("0003.JPG", "0006.JPG", "0007.JPG")
    }
    assert {item.mask_threshold for item in layout.items} == {0}


def test_published_counts_add_up() -> None:
    for name in ("mvtec", "mpdd", "visa"):
        published = data_set(name, {})
        total: Counter[str] = Counter()
        for category in published.categories:
            total.update(published.expected[category])
        assert total == published.expected[""]
    # recalled in docs/spec/datasets.md; the archive has seven more than the publisher's table
    found: Counter[str] = Counter()
    for category in data_set("loco", {}).categories:
        found.update(data_set("loco", {}).expected[category])
    assert found == {"train": 1778, "val": 305, "test_good": 575, "test_defective": 993}


def test_class_masks_count_above_zero(tmp_path: Path) -> None:
    """Palette index 1 is a dark red: still a defect."""
    layouts.msd(tmp_path)
    layouts.msd_good(tmp_path / "MSD")
    folder = tmp_path / "prepared"
    folder.mkdir()
    prepare(data_set("lcd-surface", {}), "phone", tmp_path / "MSD", DataParams(), folder)
    for row in read_manifest(folder).rows.query("label == 1").itertuples():
        assert (np.asarray(Image.open(folder / row.mask)) == 255).sum() == 16
