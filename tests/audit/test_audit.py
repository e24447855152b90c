"""A defective image that was called good comes first; what is dropped is gone."""

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from blemish.audit.audit import SHEET, TABLE, ranked
from blemish.core.errors import UserError
from blemish.core.params import load_params
from blemish.images.manifest import Manifest, Row, read_manifest
from blemish.images.store import IN_MEMORY
from blemish.prepare.dropped import drop_rows
from stages import audit as stage
from tests.units import params_folder, run_stage, tiny_unit


def spoiled(wrong: int = 2) -> tuple[Manifest, set[str]]:
    """The tiny unit's normals, with defective test images among them as if they were good."""
    manifest = read_manifest(tiny_unit().prepared)
    rows = manifest.rows
    normals = rows[rows["split"] != "test"]
    defects = rows[(rows["defect"] == "spot") & (rows["slice"] == "")].head(wrong)
    both = pd.concat([normals, defects.assign(split="train")], ignore_index=True)
    return Manifest(both, manifest.facts, manifest.root), set(defects["image"])


def test_wrong_labels_come_first() -> None:
    manifest, wrong = spoiled()
    table, entries = ranked(manifest, IN_MEMORY, 5)
    assert set(table["image"].head(len(wrong))) == wrong
    assert table["rank"].tolist() == list(range(1, len(manifest.rows) + 1))
    assert [entry.name for entry in entries] == table["image"].head(5).tolist()
    assert table["deviations"].head(len(wrong)).min() > 2


def test_images_of_one_group_do_not_excuse_each_other() -> None:
    """Two photographs of one defective part would otherwise each have a near neighbour."""
    manifest, wrong = spoiled(1)
    rows = pd.concat([manifest.rows, manifest.rows[manifest.rows["image"].isin(wrong)]])
    rows = rows.reset_index(drop=True)
    double = rows["image"].isin(wrong)

    def first(group: str | None) -> set[str]:
        marked = rows.assign(group=rows["group"].mask(double, group))
        table, _ = ranked(Manifest(marked, manifest.facts, manifest.root), IN_MEMORY, 1)
        return set(table["image"].head(2))

    assert first("same part") == wrong
    # Told apart, each copy is as near to the other as can be.
    apart = rows.assign(group=[str(number) for number in rows.index])
    table, _ = ranked(Manifest(apart, manifest.facts, manifest.root), IN_MEMORY, 1)
    assert set(table["image"].head(2)) != wrong


def test_one_group_alone_cannot_be_audited() -> None:
    manifest, _ = spoiled()
    alike = Manifest(manifest.rows.assign(group="one part"), manifest.facts, manifest.root)
    with pytest.raises(UserError, match="one group"):
        ranked(alike, IN_MEMORY, 1)


def test_the_stage_writes_a_table_and_a_sheet_twice_the_same(tmp_path: Path, capsys) -> None:
    for out in (tmp_path / "one", tmp_path / "two"):
        run_stage(stage.main, {"audit": {"sheet": 3}}, tiny_unit().prepared, out)
    for name in (TABLE, SHEET):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    table = pd.read_csv(tmp_path / "one" / TABLE)
    manifest = read_manifest(tiny_unit().prepared)
    normals = manifest.rows[manifest.rows["split"] != "test"]["image"]
    assert sorted(table["image"]) == sorted(normals)
    assert table["image"][0] in capsys.readouterr().out
    with Image.open(tmp_path / "one" / SHEET) as sheet:
        assert sheet.width > 3 * 320


def test_windows_of_large_images_speak_for_their_image(tmp_path: Path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    manifest, wrong = spoiled()
    rows = manifest.rows
    for image in rows["image"]:
        file = unit.prepared / image
        with Image.open(file) as picture:
            wide = picture.resize((1800, 220))
        file.unlink()
        wide.save(file)
    rows = rows.assign(width=1800, height=220)
    table, entries = ranked(Manifest(rows, manifest.facts, unit.prepared), IN_MEMORY, 4)
    assert len(table) == len(rows)
    assert set(table["image"].head(len(wrong))) == wrong
    assert entries[0].picture.shape == (256, 256, 3)


def rows_of(folder: Path) -> list[Row]:
    """The manifest as `prepare` holds it: what is missing is None."""
    return pq.read_table(folder / "manifest.parquet").to_pylist()


def test_what_is_dropped_is_gone_and_the_rest_stays(tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(tiny_unit().prepared, folder)
    rows = rows_of(folder)
    names = [row["image"] for row in rows if row["split"] == "train"][:2]
    kept, notes = drop_rows("tiny/bolts", rows, names, folder)
    assert [row for row in rows if row["image"] not in names] == kept
    assert not any((folder / name).exists() for name in names)
    assert notes == ["2 normal images were left out by `audit.drop`"]
    assert drop_rows("tiny/bolts", rows, [], folder) == (rows, [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test/good/test-good-0.png", "is a test image"),
        ("train/good/nobody.png", "no normal image"),
    ],
)
def test_only_normals_can_be_dropped(name: str, said: str, tmp_path: Path) -> None:
    rows = rows_of(tiny_unit().prepared)
    assert any(row["image"] == name for row in rows) == ("test image" in said)
    with pytest.raises(UserError, match=said):
        drop_rows("tiny/bolts", rows, [name], tmp_path)


def test_a_unit_needs_images_after_dropping(tmp_path: Path) -> None:
    rows = rows_of(tiny_unit().prepared)
    with pytest.raises(UserError, match="leaves no image in split val"):
        drop_rows("u", rows, [row["image"] for row in rows if row["split"] == "val"], tmp_path)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"units": ["elpv/poly"]}, "`audit.units` lists 'elpv/poly', which `units` does not"),
        ({"drop": {"elpv/nobody": ["a"]}}, "audit.drop"),
        ({"units": ["elpv/mono", "elpv/mono"]}, "twice"),
    ],
)
def test_units_are_checked(section: dict[str, object], said: str) -> None:
    with params_folder({"audit": section}), pytest.raises(UserError, match=said):
        load_params()
