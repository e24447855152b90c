"""Archives of another layout, and parts that are missing or damaged: one line that says which."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.datasets.dataset import data_set
from tests.miniatures import layouts
from tests.miniatures.paint import mask, picture, voc
from tests.miniatures.spoiled import drop, fetched, other, write


def config(**changes: object) -> Callable[[Path], None]:
    """LOCO's config with its first entry changed."""
    entries = [{**layouts.LOCO_CONFIG[0], **changes}, layouts.LOCO_CONFIG[1]]
    return write("screw_bag/defects_config.json", json.dumps(entries))


def table(line: str) -> Callable[[Path], None]:
    return write("split_csv/1cls.csv", f"object,split,label,image,mask\n{line}\n")


BOMB = '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
IMAGE = "candle/Data/Images/Normal/0000.JPG"
LOCO, VISA, PCB, LCD = "loco/screw_bag", "visa/candle", "pcb/04", "lcd-light/panel"
YOLO = "labels/train/0003.txt"
SHORT = "PCB_DATASET/Annotations/Short/04_short_01.xml"
CLOTH = "WFDD/grid_cloth/ground_truth/scratch"
SPOIL: list[tuple[str, Callable[[Path], object], str]] = [
    ("mvtec/leather", other, r"mvtec_anomaly_detection: expected leather/train/good.* no category"),
    ("mvtec/leather", drop("leather"), r"expected leather/train/good.*the categories tile"),
    ("mvtec/leather", drop("leather/test"), r"test: no defective images: expected test/<type>"),
    ("mvtec/leather", drop("leather/ground_truth"), r"ground_truth: no masks"),
    (
        "mvtec/leather",
        drop("leather/ground_truth/scratch/001_mask.png"),
        r"scratch/001\.png: no mask in .*ground_truth/scratch \(expected 001_mask\.png\)",
    ),
    ("mpdd/tubes", drop("MPDD/tubes/train"), r"expected tubes/train/good.*connector"),
    ("anolcd/Type-3", drop("AnoLCD/Type-3"), r"expected Type-3/train/good.*categories Type-1"),
    ("mad-man/screw", drop("MAD-man/*/screw"), r"expected folders Person_… with screw/test"),
    ("mad-man/screw", drop("MAD-man/*/screw/ground_truth"), r"Person_1/ground_truth: no masks"),
    (LOCO, drop("screw_bag"), r"expected screw_bag/train/good and screw_bag/test.*pushpins/"),
    (LOCO, drop("screw_bag/defects_config.json"), r"defects_config\.json is missing"),
    (
        LOCO,
        drop("screw_bag/ground_truth/logical_anomalies/002"),
        r"logical_anomalies/002\.png: no defect channels in",
    ),
    (LOCO, drop("screw_bag/test/structural_anomalies"), r"structural_anomalies: no images"),
    (LOCO, config(pixel_value=0), r"entry 0: `pixel_value` is 0, not 1 to 255"),
    (LOCO, config(pixel_value=True), r"entry 0: `pixel_value` is True"),
    (LOCO, config(pixel_value=254), r"`pixel_value` 254 is there twice"),
    (LOCO, config(saturation_threshold=-1), r"`saturation_threshold` is -1, not positive"),
    (LOCO, config(saturation_threshold="9"), r"`saturation_threshold` is '9'"),
    (LOCO, config(relative_saturation=1), r"`relative_saturation` is 1"),
    (LOCO, config(defect_name=None), r"`defect_name` is None"),
    (LOCO, write("screw_bag/defects_config.json", "{}"), r"expected a list of defects"),
    (LOCO, write("screw_bag/defects_config.json", "[1]"), r"entry 0: expected a mapping"),
    (LOCO, write("screw_bag/defects_config.json", "[{"), r"not valid JSON"),
    (LOCO, write("screw_bag/defects_config.json", "[" * 9**6), r"not valid JSON"),
    (
        LOCO,
        lambda place: mask(
            place / "screw_bag/ground_truth/logical_anomalies/002/001.png", value=253
        ),
        r"002/001\.png: holds the values \[253\]: expected 0 and one `pixel_value` .* \(255, 254\)",
    ),
    (
        LOCO,
        lambda place: picture(place / "screw_bag/ground_truth/logical_anomalies/002/001.png"),
        r"002/001\.png: expected an 8-bit grey image",
    ),
    (VISA, drop("split_csv"), r"expected split_csv/1cls\.csv and candle/Data/Images"),
    (VISA, drop(IMAGE), r"line 2: there is no candle/Data/Images/Normal/0000\.JPG"),
    (VISA, table("pcb1,train,normal,a,"), r"no row of 'candle'"),
    (VISA, table(f"candle,val,normal,{IMAGE},"), r"line 2: split 'val' and label 'normal'"),
    (VISA, table(f"candle,test,odd,{IMAGE},"), r"line 2: split 'test' and label 'odd'"),
    (VISA, table(f"candle,test,anomaly,{IMAGE},"), r"expected anomalies in the test split, with"),
    (VISA, table("candle,train,normal,../../a.png,"), r"'\.\./\.\./a\.png' leads outside"),
    (VISA, table("candle,train,normal,/etc/passwd,"), r"'/etc/passwd' leads outside"),
    (VISA, table("candle,train"), r"line 2: a value is missing"),
    (VISA, write("split_csv/1cls.csv", "image,label\n"), r"expected the columns object, split"),
    ("lcd-surface/phone", drop("MSD/SegmentationClass"), r"expected the folders JPEGImages/ and"),
    (
        "lcd-surface/phone",
        drop("MSD/SegmentationClass/Scr_0002.png"),
        r"Scr_0002\.jpg: no mask in .*SegmentationClass",
    ),
    (
        "lcd-surface/phone",
        lambda place: (
            picture(place / "MSD/JPEGImages/0001.jpg")
            and picture(place / "MSD/SegmentationClass/0001.png")
        ),
        r"JPEGImages/0001\.jpg: expected oil, scratch or stain in its name",
    ),
    ("magnetic-tile-thu/tile", drop("data/Fold"), r"no folder of images named 'fold'.*good"),
    ("magnetic-tile-thu/tile", drop("data/Free"), r"no folder of images named 'good'"),
    ("magnetic-tile-thu/tile", other, r"expected folders of images; found readme\.md"),
    ("wfdd/grid_cloth", drop(f"{CLOTH}/001_mask.png"), r"001\.png: no mask in .*expected 001_mask"),
    ("magnetic-tile/tile", drop("*/MT_Crack"), r"expected the folders MT_Blowhole/Imgs.*found"),
    (PCB, drop("PCB_DATASET/Annotations"), r"expected the folders images/ and Annotations/"),
    (PCB, drop(SHORT), r"04_short_01\.jpg: no boxes in Annotations \(expected 04_short_01\.xml\)"),
    (PCB, write(SHORT, BOMB), r"04_short_01\.xml: holds a DOCTYPE or entities: refused"),
    (PCB, write(SHORT, "<annotation>"), r"04_short_01\.xml: not valid XML"),
    (
        PCB,
        lambda place: voc(place / SHORT, "short", (1, 1, 9, 9), (100, 70)),
        r"04_short_01\.xml: describes an image of 100×70, but it is 1600×1030",
    ),
    (
        PCB,
        lambda place: voc(place / SHORT, "short", (9, 9, 9, 20), layouts.PCB_SIZE),
        r"04_short_01\.xml, object 1: the box .* lies outside the image or is empty",
    ),
    (
        PCB,
        lambda place: voc(place / SHORT, "", (1, 1, 9, 9), layouts.PCB_SIZE),
        r"object 1: the defect has no name",
    ),
    (
        PCB,
        lambda place: picture(place / "PCB_DATASET/images/Short/04-1.jpg").rename(
            place / "PCB_DATASET/images/Short/04_1.jpg"
        ),
        r"04_1\.jpg: expected a name like 01_missing_hole_01\.jpg",
    ),
    (PCB, write("PCB_DATASET/images/Short/04_short_01.jpg", "moved"), r"not a whole image"),
    (LCD, other, r"expected images with VOC xml or YOLO txt files; found readme\.md"),
    (LCD, drop(YOLO), r"0003\.jpg: no boxes: expected 0003\.xml \(VOC\) or 0003\.txt"),
    (LCD, write("lcd.yaml", "names: [a, [b]]"), r"lcd\.yaml: `names` must be a list of words"),
    (
        LCD,
        write("lcd.yaml", "names: {0: a, 2: b}"),
        r"`names` has the keys \[0, 2\]: expected 0, 1",
    ),
    (LCD, write("lcd.yaml", "names: [" * 999), r"lcd\.yaml: not YAML"),
    (LCD, write("lcd.yaml", "#" * 100_001), r"lcd\.yaml: longer than 100000 bytes"),
    (LCD, write(YOLO, "7 0.5 0.5 0.1 0.1"), r"0003\.txt, line 1: class 7, but only 3 classes"),
    (LCD, write(YOLO, "\n1 0.5 0.5 nan 0.1"), r"line 2: expected `class x y width height`"),
    (LCD, write(YOLO, "1 0.5 0.5 0.1"), r"line 1: expected `class x y width height`"),
    (LCD, write(YOLO, "1 3 3 0.1 0.1"), r"lies outside the image or is empty"),
    (
        LCD,
        lambda place: picture(place / "images/val/0003.jpg"),
        r"0003\.jpg and .*0003\.jpg: the same name: rename one",
    ),
]


@pytest.mark.parametrize(("unit", "change", "message"), SPOIL)
def test_what_does_not_fit_is_named(
    unit: str,
    change: Callable[[Path], object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        fetched(unit, change, tmp_path)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Leather:
    """The real fragment of MVTec AD leather: 11 of its 20 defective images have a mask."""

    raw: Path


@pytest.fixture
def leather(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Leather:
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("data/downloads").mkdir(parents=True)
    shutil.copyfile(mirror / "mvtec-leather-sample.tar", "data/downloads/leather.tar.xz")
    (tmp_path / "raw").mkdir()
    data_set("mvtec", {}).fetch("leather", tmp_path / "raw")
    return Leather(tmp_path / "raw")


def test_the_real_fragment_is_fetched_whole(leather: Leather) -> None:
    found = {path.relative_to(leather.raw).as_posix() for path in leather.raw.rglob("*.png")}
    assert len([name for name in found if name.startswith("train/good/")]) == 4
    assert len([name for name in found if name.startswith("test/")]) == 4 + 20
    assert len([name for name in found if name.startswith("ground_truth/")]) == 18


def test_the_real_fragment_s_missing_masks_are_named(leather: Leather) -> None:
    with pytest.raises(UserError, match=r"color/008\.png: no mask in .*expected 008_mask\.png"):
        data_set("mvtec", {}).layout(leather.raw, "leather")


def test_the_real_fragment_s_masks_without_image_are_told(leather: Leather) -> None:
    """With the images gone that lack a mask, the seven masks that lack an image are left."""
    for image in leather.raw.glob("test/*/*.png"):
        kind = image.parent.name
        if kind != "good":
            mask = leather.raw / "ground_truth" / kind / f"{image.stem}_mask.png"
            image.unlink() if not mask.exists() else None
    layout = data_set("mvtec", {}).layout(leather.raw, "leather")
    assert len([item for item in layout.items if item.label]) == 11
    (note,) = layout.notes
    assert note.startswith("7 mask(s) belong to no image, e.g. ground_truth/color/001_mask.png")
