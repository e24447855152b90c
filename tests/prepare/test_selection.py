"""Real defects set apart for choosing: by digest, groups whole, never in the test set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import DataParams
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Manifest, read_manifest
from blemish.prepare.unit import prepare

UNIT = "set/unit"


def photo(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def items_in(raw: Path, groups: dict[int, str] | None = None) -> list[Item]:
    """8 normals, 4 good test images, 10 spots, 6 lines, 3 doubtful ones."""
    kinds = [("good", "train", 8), ("good", "test", 4), ("spot", "test", 10), ("line", "test", 6),
             ("doubtful", "test", 3)]  # fmt: skip
    items: list[Item] = []
    for kind, split, count in kinds:
        for _ in range(count):
            number = len(items)
            items.append(
                Item(photo(raw / f"{kind}/{number:03d}.png", number), kind, split,
                     group=(groups or {}).get(number), slice="doubtful" * (kind == "doubtful"))
            )  # fmt: skip
    return items


def prepared(
    root: Path, selection: float | list[str] | None, groups: dict[int, str] | None = None
) -> Manifest:
    raw = root / "raw"
    layout = Layout(items_in(raw, groups), masks="none", extra_slices=("doubtful",))
    found = DataSet(
        name="set", title="", categories=("unit",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: layout,
        expected={"unit": {"train": 8, "test_good": 4, "test_defective": 19}},
    )  # fmt: skip
    folder = root / f"prepared-{len(list(root.iterdir()))}"
    folder.mkdir()
    params = DataParams(selection={} if selection is None else {UNIT: selection})
    prepare(found, "unit", raw, params, folder)
    return read_manifest(folder)


def apart(manifest: Manifest) -> set[str]:
    rows = manifest.rows[manifest.rows["slice"] == "selection"]
    assert set(rows["split"]) == {"val"}
    assert set(rows["label"]) == {1}
    return {Path(image).name for image in rows["image"]}


def test_a_share_of_each_type_is_set_apart_and_the_rest_stays(tmp_path: Path) -> None:
    whole, manifest = prepared(tmp_path, None), prepared(tmp_path, 0.3)
    rows = manifest.rows[manifest.rows["slice"] == "selection"]
    assert rows["defect"].value_counts().to_dict() == {"spot": 3, "line": 2}
    assert all((manifest.root / image).is_file() for image in rows["image"])
    names = apart(manifest)
    kept = whole.rows[~whole.rows["image"].map(lambda image: Path(image).name).isin(names)]
    others = manifest.rows[manifest.rows["slice"] != "selection"]
    assert others["image"].tolist() == kept["image"].tolist()
    assert others["split"].tolist() == kept["split"].tolist()
    assert "5 of 16 real defects are set apart for choosing (slice 'selection')" in " ".join(
        manifest.facts.notes
    )
    assert not any("published" in note for note in manifest.facts.notes)  # counts are met
    assert apart(prepared(tmp_path, 0.3)) == names
    assert names < apart(prepared(tmp_path, 0.5))  # a larger share adds some


def test_types_are_set_apart_whole(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, ["line"])
    rows = manifest.rows[manifest.rows["slice"] == "selection"]
    assert rows["defect"].tolist() == ["line"] * 6
    assert set(manifest.of("test", 1)["defect"]) == {"spot", "doubtful"}


def test_what_shows_one_object_stays_together(tmp_path: Path) -> None:
    # Spots are 12 … 21, lines 22 … 27, good test images 8 … 11.
    groups = {12: "a", 13: "a", 14: "a", 22: "a", 15: "b", 8: "b", 24: "c", 25: "c"}
    for share in (0.2, 0.5, 0.8):
        names = {int(name[:3]) for name in apart(prepared(tmp_path, share, groups))}
        for together in ({12, 13, 14, 22}, {24, 25}):
            assert names & together in (set(), together)
        assert 15 not in names  # a good test image shows the same object
    manifest = prepared(tmp_path, ["spot"], groups)
    assert len(apart(manifest)) == 10 - 4
    assert "4 stay in the test set with images of the same object" in " ".join(manifest.facts.notes)


def test_what_cannot_be_set_apart_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"`data.selection.set/unit`: 'spit' is no defect .*has: line"
    ):
        prepared(tmp_path, ["spit"])
    with pytest.raises(UserError, match="all of the unit's 16 defects would be set apart"):
        prepared(tmp_path, ["spot", "line"])
    with pytest.raises(UserError, match="'doubtful' is no defect"):
        prepared(tmp_path, ["doubtful"])
