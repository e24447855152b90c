"""The sets beyond MVTec's layout: what is said of their images, and what does not fit is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import DataParams
from blemish.datasets.dataset import Layout, data_set, split_unit
from blemish.images.manifest import Manifest, read_manifest
from blemish.prepare.unit import prepare
from tests.miniatures import further
from tests.miniatures.spoiled import drop, fetched, write

AD2 = "mvtec_ad_2/can/test_public/ground_truth/bad"
PIT = "BSData-main/label/01_200907041126_305000_090_crop_2.json"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(unit: str, change: Callable[[Path], object] = lambda _: None) -> tuple[Layout, Manifest]:
    """The layout and the manifest of a miniature in which something was changed."""
    raw, layout = fetched(unit, change, Path.cwd())
    name, category = split_unit(unit)
    Path("prepared").mkdir()
    prepare(data_set(name, {}), category, raw, DataParams(), Path("prepared"))
    return layout, read_manifest(Path("prepared"))


def mask_of(manifest: Manifest, row: int) -> np.ndarray:
    defective = manifest.rows[manifest.rows["label"] == 1]
    return np.asarray(Image.open(manifest.root / defective.iloc[row]["mask"])) > 0


def test_mvtec2_keeps_the_secret_images_outside_its_numbers() -> None:
    layout, manifest = read("mvtec2/can")
    raw = Path("raw")
    assert (raw / "test_private" / "000_regular.png").is_file()
    assert (raw / "test_private_mixed" / "000_regular.png").is_file()
    assert not any("private" in str(item.image) for item in layout.items)
    assert dict(manifest.rows["split"].value_counts()) == {"train": 6, "val": 2, "test": 5}
    assert any("public test set" in note for note in manifest.facts.notes)


def test_ksdd2_and_dagm_train_on_good_images_alone() -> None:
    layout, manifest = read("ksdd2/surface")
    assert "its 2 defective images are not used" in layout.notes[0]
    assert not any("copy" in item.image.name for item in layout.items)
    assert mask_of(manifest, 0).sum() == 16


def test_dagm_says_that_its_labels_are_ellipses() -> None:
    layout, _ = read("dagm/Class1")
    assert "its 2 defective images are not used" in layout.notes[0]
    assert "ellipses" in layout.notes[1]


def test_the_published_counts_of_dagm_and_btad_add_up() -> None:
    dagm = data_set("dagm", {}).expected.values()
    assert sum(row["train"] for row in dagm) == 8050 - 1046
    assert sum(row["test_defective"] for row in dagm) == 1054
    btad = data_set("btad", {}).expected.values()
    assert [sum(row[name] for row in btad) for name in ("train", "test_good")] == [1799, 451]
    assert sum(row["test_defective"] for row in btad) == 290


def test_aitex_strips_become_tiles_judged_by_their_masks() -> None:
    layout, manifest = read("aitex/04")
    found = {(item.image.stem, item.tile): item.defect for item in layout.items if item.label}
    assert found == {
        ("0044_019_04", (0, 0, 256, 256)): "fuzzyball",  # both masks, one across two tiles
        ("0044_019_04", (256, 0, 256, 256)): "fuzzyball",
        ("0045_030_04", (512, 0, 256, 256)): "nep",
    }
    areas = [mask_of(manifest, row).sum() for row in range(3)]
    assert sorted(areas) == [3 * 2, 6 * 10, 20 * 10 + 6 * 10]
    groups = manifest.rows.groupby("group")["split"].nunique()
    assert (groups == 1).all()
    assert layout.notes[2] == "1 defective strip(s) without a mask are not used: 0046_019_04.png."


def test_aitex_leaves_out_tiles_that_show_no_cloth() -> None:
    def blank(place: Path) -> None:
        for strip in place.rglob("0000_000_04.png"):
            pixels = np.asarray(Image.open(strip)).copy()
            pixels[:, :256] = 255
            Image.fromarray(pixels).save(strip)

    layout, _ = read("aitex/04", blank)
    assert len([item for item in layout.items if item.split is None]) == 3 * 4 - 1


def test_bsdata_tests_other_positions_than_it_trains_on() -> None:
    layout, manifest = read("bsdata/ball-screw")
    assert {item.group for item in layout.items if item.split == "train"} == {
        *("277500_315", "332500_225")
    }
    assert {item.group for item in layout.items if item.split == "test"} == {
        *("305000_090", "395000_270")
    }
    # the three before the first pit and the training position's three pitted ones, and one image
    # of another series
    assert "; 10 others are not used" in layout.notes[0]
    polygon = np.array([[2, 3], [8, 3], [5, 9]])
    assert mask_of(manifest, 0)[tuple(polygon[:, ::-1].T)].all()
    assert 15 <= mask_of(manifest, 0).sum() <= 35


def test_casting_does_not_use_the_published_split() -> None:
    layout, _ = read("casting/impeller")
    assert all(item.image.name.startswith("cast_") for item in layout.items)
    assert layout.notes[1].startswith("The published split leaks")
    assert "Published: 519 images in ok_front; found: 8." in layout.notes


def test_a_rectangle_of_labelme_is_its_box() -> None:
    def rectangle(place: Path) -> None:
        further.labelme(place / PIT, "Pitting", [[2, 3], [6, 7]], "rectangle")

    _, manifest = read("bsdata/ball-screw", rectangle)
    assert 16 in [mask_of(manifest, row).sum() for row in range(3)]


SPOIL: list[tuple[str, Callable[[Path], object], str]] = [
    ("mvtec2/can", drop("mvtec_ad_2/can"), r"expected can/train/good and can/test_public"),
    ("mvtec2/can", drop("mvtec_ad_2/can/validation"), r"validation/good: no images"),
    ("mvtec2/can", drop(f"{AD2}/001_*_mask.png"), r"001_overexposed\.png: no mask in"),
    ("mvtec2/can", drop("mvtec_ad_2/can/test_public/bad"), r"test: no defective images"),
    ("ksdd2/surface", drop("train"), r"expected train/ and test/ somewhere in it; found test/"),
    ("ksdd2/surface", drop("train/10001_GT.png"), r"10001\.png: its mask 10001_GT\.png is missing"),
    (
        "ksdd2/surface",
        drop("test/2*"),
        r"test: expected 10000\.png and 10000_GT\.png .* found noth",
    ),
    ("btad/03", drop("*/03/train"), r"expected 03/train/ok and 03/test somewhere in it"),
    ("btad/03", drop("*/03/ground_truth/ko/0001.png"), r"ko/0001\.bmp: no mask in"),
    ("btad/03", drop("*/03/ground_truth"), r"ground_truth: no masks"),
    ("dagm/Class1", drop("*/Class1/Test"), r"expected Class1/Train and Class1/Test somewhere"),
    (
        "dagm/Class1",
        drop("*/Class1/Test/Label"),
        r"Test: expected 0001\.PNG … and Label/NNNN_label",
    ),
    ("aitex/04", drop("NODefect_images/2311694-2040n7u"), r"no image of fabric 04: expected names"),
    ("bsdata/ball-screw", drop("BSData-main/label"), r"expected data/ and label/ somewhere in it"),
    ("bsdata/ball-screw", write(PIT, "[]"), r"crop_2\.json: not a file of LabelMe"),
    ("bsdata/ball-screw", write(PIT, "{" * 9**6), r"crop_2\.json: not a file of LabelMe"),
    ("bsdata/ball-screw", write(PIT, '{"shapes": 1}'), r"`shapes` must be a list"),
    (
        "bsdata/ball-screw",
        write(PIT, '{"shapes": [{"label": "a", "points": [[1, 2], [3, NaN], [9, 9]]}]}'),
        r"crop_2\.json, shape 1: expected points \[\[x, y\], …\]",
    ),
    (
        "bsdata/ball-screw",
        write(PIT, '{"shapes": [{"label": "a", "points": [[99, 99], [98, 90], [99, 91]]}]}'),
        r"shape 1: the box .* lies outside the image or is empty",
    ),
    ("casting/impeller", drop("casting_512x512"), r"expected casting_512x512/ with ok_front and"),
    ("casting/impeller", drop("*/*/ok_front/*"), r"ok_front: no images: fetch the unit again"),
]


@pytest.mark.parametrize(("unit", "change", "message"), SPOIL)
def test_what_does_not_fit_is_named(
    unit: str, change: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fetched(unit, change, Path.cwd())
    assert "\n" not in str(caught.value)
