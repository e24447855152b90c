"""Published sets as they really are: pcb, lcd-light, magnetic-tile-thu, masks by sorted order."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.dataset import Item, Layout, Outline, data_set, split_unit
from blemish.images.manifest import Manifest, read_manifest
from blemish.prepare.unit import prepare
from tests.miniatures import layouts
from tests.miniatures.paint import mask, pasted, picture, voc
from tests.miniatures.spoiled import drop, fetched, write


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(unit: str, change: Callable[[Path], object] = lambda _: None) -> Layout:
    return fetched(unit, change, Path.cwd())[1]


def prepared(unit: str) -> Manifest:
    name, category = split_unit(unit)
    Path("prepared").mkdir()
    prepare(data_set(name, {}), category, Path("raw"), DataParams(), Path("prepared"))
    return read_manifest(Path("prepared"))


def of(layout: Layout, **where: object) -> list[Item]:
    return [
        item
        for item in layout.items
        if all(getattr(item, name) == value for name, value in where.items())
    ]


def test_one_board_can_be_prepared_though_all_images_are_one_photograph() -> None:
    layout = read("pcb/04")
    assert {item.image.stem for item in of(layout, split="train")} == {"04"}
    assert {item.image.stem for item in of(layout, split="test")} == {
        *("04_missing_hole_05", "04_short_05")
    }
    assert any("2 defective tiles of training images are not used" in n for n in layout.notes)
    manifest = prepared("pcb/04")
    splits = manifest.rows["split"].value_counts()
    assert (splits["train"] + splits["val"], splits["test"]) == (6, 12)
    assert any("All images of a board are one photograph" in n for n in manifest.facts.notes)
    assert not any("published split leaks" in note for note in manifest.facts.notes)


def test_masks_are_what_differs_from_the_template() -> None:
    read("pcb/board")
    manifest = prepared("pcb/board")
    assert manifest.facts.masks == "pixel"
    defective = manifest.rows[manifest.rows["label"] == 1]
    assert len(defective) == 8
    for row in defective.itertuples():
        left, top, right, bottom = layouts.PCB_DEFECTS[row.defect.capitalize()]
        found = np.asarray(Image.open(manifest.root / row.mask)) > 0
        drawn = np.zeros(found.shape, bool)
        drawn[top:bottom, left:right] = True  # all defects lie in an image's first tile
        assert (found & drawn).sum() / (found | drawn).sum() > 0.95


def test_a_tile_that_only_a_loose_box_touches_is_clean() -> None:
    layout = read("pcb/04")
    short = of(layout, defect="short")
    assert [item.tile for item in short] == [(0, 0, 533, 515)]
    clean = [item.tile for item in of(layout, defect="good") if item.image == short[0].image]
    assert (533, 0, 533, 515) in clean


def test_without_a_template_boxes_are_the_masks() -> None:
    layout = read("pcb/04", drop("PCB_DATASET/PCB_USED"))
    assert layout.masks == "boxes"
    assert any("No template (PCB_USED/) of board 04" in note for note in layout.notes)
    (short,) = of(layout, defect="short")
    assert short.outlines == (((515, 60), (560, 110)),)
    tested = [item for item in of(layout, split="test") if item.image == short.image]
    assert len(tested) == 6 - 1  # the second tile, which the box reaches into, is neither
    splits = prepared("pcb/04").rows["split"].value_counts()
    assert splits["test"] == 11
    assert splits["train"] >= 2


def test_a_template_of_another_photograph_is_not_compared_with() -> None:
    def other(place: Path) -> None:
        picture(place / "PCB_DATASET/PCB_USED/04.JPG", layouts.PCB_SIZE)

    assert read("pcb/04", other).masks == "boxes"


def test_a_box_in_which_nothing_differs_stays_a_box() -> None:
    def undo(place: Path) -> None:
        pasted(
            place / "PCB_DATASET/PCB_USED/04.JPG",
            place / "PCB_DATASET/images/Short/04_short_05.jpg",
            (0, 0, 0, 0),
        )

    layout = read("pcb/04", undo)
    assert layout.masks == "pixel"
    assert "1 that do not differ keep their boxes" in layout.notes[0]
    assert of(layout, defect="short")[0].outlines == (((515, 60), (560, 110)),)


def test_boards_of_the_test_are_never_trained_on() -> None:
    layout = read("pcb/board")
    assert {item.group for item in of(layout, split="test")} == {"11", "12"}
    assert {item.group for item in of(layout, split="train")} == {"01", "04"}
    assert "Published: 693 images; found: 16." in layout.notes


def test_every_fifth_display_is_the_test() -> None:
    layout = read("lcd-light/panel")
    assert {item.group for item in of(layout, split="test")} == {"0005", "0010"}
    assert any("8 defective tiles" in note for note in layout.notes)
    assert any("augmented the images" in note for note in layout.notes)


def kinds(layout: Layout) -> set[str]:
    return {item.defect for item in layout.items if item.label}


def yolo(change: Callable[[Path], object]) -> Layout:
    """The layout of the YOLO variant."""
    layouts.lcd_light_yolo(Path("yolo"))
    change(Path("yolo"))
    return data_set("lcd-light", {}).layout(Path("yolo"), "panel")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: None, "line"),
        (write("lcd.yaml", "names:\n  0: spot\n  1: Light leak \n  2: x\n"), "light_leak"),
        (drop("lcd.yaml"), "line"),  # the published order
        (
            lambda p: write("lcd.yaml", "nc: 3")(p) or (p / "classes.txt").write_text("a\nb c\n"),
            "b_c",
        ),
        (write("lcd.yaml", "names: [spot, '../../evil', x]"), "evil"),
    ],
)
def test_class_names_are_read_and_may_hold_spaces(
    change: Callable[[Path], object], expected: str
) -> None:
    assert kinds(yolo(change)) == {expected}


def test_the_yaml_is_fetched() -> None:
    layouts.lcd_light_yolo(Path("data/downloads/lcd-light"))
    Path("raw").mkdir()
    data_set("lcd-light", {}).fetch("panel", Path("raw"))
    assert (Path("raw") / "lcd.yaml").is_file()


def test_yolo_and_voc_say_the_same_and_a_polygon_is_no_box() -> None:
    layouts.lcd_light_voc(Path("voc"))

    def outlines(layout: Layout) -> set[tuple[Outline, ...]]:
        return {item.outlines for item in layout.items if item.label}

    (voc_,) = outlines(data_set("lcd-light", {}).layout(Path("voc"), "panel"))
    (yolo_,) = outlines(yolo(lambda _: None))
    np.testing.assert_allclose(np.array(yolo_), np.array(voc_), atol=1e-3)
    Path("yolo/labels/train/0005.txt").write_text("1 0.1 0.1 0.2 0.1 0.2 0.2\n")
    found = outlines(data_set("lcd-light", {}).layout(Path("yolo"), "panel"))
    assert (((40.0, 50.0), (80.0, 50.0), (80.0, 100.0)),) in found


def test_a_type_in_a_box_file_is_no_path() -> None:
    place = "LCD/Annotations/0005.xml"
    layouts.lcd_light_voc(Path("voc"))
    voc(Path("voc") / place, "../../../outside", (5, 5, 15, 25), layouts.LCD_SIZE)
    assert kinds(data_set("lcd-light", {}).layout(Path("voc"), "panel")) == {"line", "outside"}


def test_twins_across_our_own_split_are_tested_and_nothing_is_blamed_on_the_publisher() -> None:
    """Image 0004, which is for training, is a copy of 0005, which is for the test."""
    layouts.lcd_light_voc(Path("data/downloads/lcd-light"))
    images = Path("data/downloads/lcd-light/LCD/JPEGImages")
    (images / "0004.jpg").write_bytes((images / "0005.jpg").read_bytes())
    Path("raw").mkdir()
    data_set("lcd-light", {}).fetch("panel", Path("raw"))
    manifest = prepared("lcd-light/panel")
    copies = manifest.rows[manifest.rows["image"].str.contains("000[45]_x")]
    assert set(copies["split"]) == {"test"}
    assert len(copies) == 3 + 4
    assert not any("split leaks" in note for note in manifest.facts.notes)


def test_masks_beside_magnetic_tiles_are_masks() -> None:
    def with_masks(place: Path) -> None:
        for number, image in enumerate(sorted(place.rglob("*.bmp"))):
            is_free = image.parent.name == "Free"
            stem = image.stem if number % 2 else f"{image.stem}_mask"
            mask(image.with_name(f"{stem}.png"), value=0 if is_free else 255)

    layout = read("magnetic-tile-thu/tile", with_masks)
    assert Counter(item.defect for item in layout.items)["crack"] == 2
    assert len(layout.items) == 18
    assert layout.masks == "pixel"
    assert prepared("magnetic-tile-thu/tile").facts.masks == "pixel"


def test_masks_of_some_magnetic_tiles_are_told_and_not_used() -> None:
    layout = read("magnetic-tile-thu/tile", lambda place: mask(place / "data/Crack/1_label.png"))
    assert layout.masks == "none"
    assert len(layout.items) == 18
    assert "only 1 of 10 defective images have a mask" in layout.notes[0]


def test_tsinghuas_cloud_is_named() -> None:
    (alternatives,) = data_set("magnetic-tile-thu", {}).archives
    assert alternatives[0].file == "Magnetic_Tile_Dataset.zip"
    assert "Tsinghua" in alternatives[0].by_hand


def test_terms_and_links_of_2026() -> None:
    assert data_set("lcd-surface", {}).licence == "GPL-3.0"
    assert data_set("mpdd", {}).licence == "none stated"
    archive = data_set("mvtec", {}).archives[0][1]
    assert archive.urls[0] == (
        "https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/download/"
        "420938113-1629960298/mvtec_anomaly_detection.tar.xz"
    )
    assert any("38536/" in url for url in archive.urls[1:])
