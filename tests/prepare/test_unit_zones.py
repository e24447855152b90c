"""A unit with zones: a map an image, the manifest, notes, a contact sheet; and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import DataParams, Tolerance
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.zones import IGNORE, read_zone_map
from blemish.prepare.unit import prepare
from stages import sources
from tests.datasets.annotation_files import labelme, shape
from tests.images.test_zone_files import draw
from tests.units import params_folder

SIZE, WIDE = (40, 60), (40, 80)  # H, W
ZONES = {"rim": {"false_alarm_rate": 0.2, "min_area": 30}, "hub": {}, "ignore": {}}
# Published names repeat from folder to folder: split, type, number, size.
IMAGES = [
    *(("train", "good", number, SIZE) for number in range(6)),
    ("test", "good", 0, SIZE), ("test", "good", 1, WIDE),
    ("test", "dent", 0, SIZE), ("test", "dent", 7, SIZE),
]  # fmt: skip


def unit(folder: Path, zones: Path, tolerances: Mapping[str, Any] | None) -> Manifest:
    random = np.random.default_rng(0)
    items = []
    for split, kind, number, size in IMAGES:
        path = folder / "raw" / split / kind / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(60, 200, (*size, 3), np.uint8)).save(path)
        items.append(Item(path, kind, split))
    (folder / "prepared").mkdir()
    found = DataSet(
        name="parts", title="", categories=("disc",), licence="", citation="", home="publisher",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    params = DataParams.model_validate(
        {"validation_fraction": 0.2}
        | ({"zones": {"parts/disc": tolerances}} if tolerances is not None else {})
    )
    prepare(found, "disc", folder / "raw", params, folder / "prepared", None, zones)
    return read_manifest(folder / "prepared")


def test_a_unit_without_zones_has_none(tmp_path: Path) -> None:
    manifest = unit(tmp_path, tmp_path / "missing", None)
    assert manifest.rows["zones"].isna().all()
    assert (manifest.facts.zones, manifest.tolerances()) == ((), {})
    assert not (manifest.root / "zones").exists()
    assert not (manifest.root / "zones.png").exists()


def test_a_mask_for_all_images_must_fit_all(tmp_path: Path) -> None:
    draw(tmp_path / "zones/ignore.png", slice(36, 40))
    with pytest.raises(UserError, match=r"ignore\.png: the zone is 60×40 but its image is 80×40"):
        unit(tmp_path, tmp_path / "zones", None)


def zones_of(manifest: Manifest, image: str) -> np.ndarray:
    row = manifest.rows.set_index("image").loc[image]
    size = (int(row["height"]), int(row["width"]))
    return read_zone_map(manifest.root / row["zones"], manifest.facts.zones, size).index


def test_every_image_gets_its_zones(tmp_path: Path) -> None:
    own = tmp_path / "zones"
    labelme(own / "zones.json", [shape([[0, 36], [80, 40]], "rectangle", "ignore")], (0, 0))
    draw(own / "hub/007.png", slice(10, 20))
    draw(own / "rim/test/good/000.png", slice(0, 4))
    manifest = unit(tmp_path, own, ZONES)
    paths = manifest.rows.set_index("image")["zones"]
    assert paths.pop("test/good/001.png") == "zones/all-80x40.png"
    assert paths.pop("test/dent/007.png") == "zones/test/dent/007.png"
    assert paths.pop("test/good/000.png") == "zones/test/good/000.png"
    assert set(paths) == {"zones/all-60x40.png"}  # of train, val and test
    written = {path.relative_to(manifest.root).as_posix()
               for path in (manifest.root / "zones").rglob("*.png")}  # fmt: skip
    assert written == set(manifest.rows["zones"])
    assert zones_of(manifest, "test/dent/007.png")[:, 0].tolist() == (
        [0] * 10 + [2] * 10 + [0] * 16 + [255] * 4
    )
    assert zones_of(manifest, "train/good/003.png")[:, 0].tolist() == [0] * 36 + [255] * 4


def test_the_manifest_states_zones_and_tolerances(tmp_path: Path) -> None:
    own = tmp_path / "zones"
    draw(own / "rim" / "003.png", slice(0, 4))
    draw(own / "hub" / "003.png", slice(0, 8))
    draw(own / "ignore" / "007.png", slice(0, 10))
    manifest = unit(tmp_path, own, ZONES)
    assert manifest.facts.zones == ("rim", "hub")
    assert manifest.facts.tolerances == (("rim", 0.2, 30), ("hub", None, 0))
    rim = Tolerance(false_alarm_rate=0.2, min_area=30)
    assert manifest.tolerances() == {"rim": rim, "hub": Tolerance()}
    assert manifest.rows["zones"].notna().sum() == 2
    pixels = 9 * 60 * 40 + 80 * 40
    assert manifest.facts.notes[-2:] == (
        f"1 of 10 images have an ignored zone, in all {100 * 600 / pixels:.3g} % of the pixels; "
        "these are neither judged nor counted.",
        "Zones with tolerances of their own: rim (false alarms 0.2, regions from 30 px); hub "
        "(false alarms as elsewhere).",
    )


def test_ignore_needs_no_listing(tmp_path: Path) -> None:
    draw(tmp_path / "zones/ignore/003.png", slice(0, 4))
    manifest = unit(tmp_path, tmp_path / "zones", None)
    assert manifest.facts.zones == ()
    assert (zones_of(manifest, "train/good/003.png") == 255).sum() == 4 * 60


def test_equal_zones_are_equal_bytes(tmp_path: Path) -> None:
    draw(tmp_path / "zones/ignore/003.png", slice(0, 4))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        unit(tmp_path / name, tmp_path / "zones", None)
    for file in ("manifest.parquet", "zones.png", "zones/train/good/003.png"):
        first, second = ((tmp_path / name / "prepared" / file).read_bytes() for name in "ab")
        assert first == second, file


def test_the_sheet_shows_the_zones_in_colour(tmp_path: Path) -> None:
    draw(tmp_path / "zones/rim/003.png", slice(0, 20))
    draw(tmp_path / "zones/ignore/003.png", slice(20, 40))
    manifest = unit(tmp_path, tmp_path / "zones", {"rim": {}})
    with Image.open(manifest.root / "zones.png") as sheet:
        pixels = np.asarray(sheet.convert("HSV"))
    tile = pixels[-210:, 6:206]
    coloured = tile[:, :, 1] > 60  # random greys of three channels are seldom so
    assert tile.shape[0] * 0.1 < coloured[:, 100].sum() < tile.shape[0]
    assert sheet.width >= 400


@pytest.mark.parametrize(
    ("name", "tolerances", "message"),
    [
        (None, {"rim": {}}, r"`data\.zones` lists parts/disc, but .+zones holds no file: draw"),
        (None, {}, r"`data\.zones` lists parts/disc, but .+zones holds no file"),
        ("rim/003.png", {"rim": {}, "hub": {}}, r"`data\.zones\.parts/disc\.hub`: no image has"),
        ("rim/003.png", None, r"rim: unknown zone 'rim'; known: ignore\. Rename it, or list it"),
        ("rim/000.png", {"rim": {}}, r"rim/000\.png: 3 images are called 000 \(.+train/good/000"),
        ("rim/009.png", {"rim": {}}, r"rim/009\.png: no image of the unit is called 009"),
    ],
)
def test_what_does_not_fit_is_named(
    name: str | None, tolerances: Mapping[str, Any] | None, message: str, tmp_path: Path
) -> None:
    if name:
        draw(tmp_path / "zones" / name, slice(0, 4))
    with pytest.raises(UserError, match=message) as caught:
        unit(tmp_path, tmp_path / "zones", tolerances)
    assert "publisher" not in str(caught.value)  # the fault is not in what was published


def test_a_unit_s_source_tells_its_zone_files_and_tolerances() -> None:
    """What `prepare` depends on changes with this unit's zones and with no other's."""
    zones = {"elpv/mono": {"rim": {"min_area": 4}, "hub": {}}, "elpv/poly": {"rim": {}}}
    changes = {"units": ["elpv/mono", "elpv/poly"], "data": {"zones": zones}}

    def described() -> dict[str, Any]:
        sources.main("code", "folders", "out")
        return {name: json.loads(Path(f"out/elpv/{name}.json").read_text())["zones"]
                for name in ("mono", "poly")}  # fmt: skip

    with params_folder(changes):
        Path("code").mkdir()
        Path("code/elpv.json").write_text("{}")
        first = described()
        assert first["mono"]["files"] == {}
        assert [name for name, _ in first["mono"]["tolerances"]] == ["rim", "hub"]
        draw(Path("data/zones/elpv/mono/rim/000.png"), slice(0, 4))
        second = described()
    assert list(second["mono"]["files"]) == ["rim/000.png"]
    assert second["poly"] == first["poly"]
    assert IGNORE not in str(first)
