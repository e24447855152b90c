"""One builder a published layout. Each writes what lies in the archive into an empty folder."""

import json
from pathlib import Path

from tests.miniatures.paint import board, mask, palette_mask, pasted, picture, voc

PCB_SIZE = (1600, 1030)  # 3×2 tiles of 533×515
LCD_SIZE = (400, 500)


def category(root: Path, train: int = 6, good: int = 2, defective: int = 3) -> None:
    """A category in the MVTec AD layout, with as many images of each part."""
    for number in range(train):
        picture(root / "train" / "good" / f"{number:03d}.png")
    for number in range(good):
        picture(root / "test" / "good" / f"{number:03d}.png")
    for number in range(defective):
        picture(root / "test" / "scratch" / f"{number:03d}.png")
        mask(root / "ground_truth" / "scratch" / f"{number:03d}_mask.png")


def mvtec(root: Path) -> None:
    for name in ("leather", "tile"):
        category(root / name)
        (root / name / "license.txt").write_text("CC BY-NC-SA 4.0")
    (root / "readme.txt").write_text("MVTec AD")


def mvtec_screw(root: Path) -> None:
    category(root / "screw")


def mpdd(root: Path) -> None:
    for name in ("tubes", "connector"):
        category(root / "MPDD" / name)


def wfdd(root: Path) -> None:
    for name in ("grid_cloth", "pink_flower"):
        category(root / "WFDD" / name)


def anolcd(root: Path) -> None:
    for name in ("Type-1", "Type-3"):
        category(root / "AnoLCD" / name)


def mad_man(root: Path) -> None:
    for person in range(1, 6):
        for name in ("screw", "leather"):
            category(root / "MAD-man" / f"Person_{person}" / name, train=0)


def mad_sys(root: Path) -> None:
    for beta in ("0.1", "0.3", "0.5", "0.7", "0.9"):
        category(root / "MAD-sys" / f"Beta_{beta}" / "leather", train=0)


def loco(root: Path) -> None:
    for name in ("screw_bag", "pushpins"):
        top = root / name
        for part, count in (("train", 6), ("validation", 2), ("test", 2)):
            for number in range(count):
                picture(top / part / "good" / f"{number:03d}.png")
        for group, count in (("structural_anomalies", 3), ("logical_anomalies", 4)):
            for number in range(count):
                picture(top / "test" / group / f"{number:03d}.png")
                channels = top / "ground_truth" / group / f"{number:03d}"
                mask(channels / "000.png", value=255)
                mask(channels / "001.png", value=254, box=(10, 10, 12, 12))
        (top / "defects_config.json").write_text(json.dumps(LOCO_CONFIG))
    (root / "license.txt").write_text("CC BY-NC-SA 4.0")


LOCO_CONFIG = [
    {
        "defect_name": "screw_too_long",
        "pixel_value": 255,
        "saturation_threshold": 200,
        "relative_saturation": False,
    },
    {
        "defect_name": "bag_broken",
        "pixel_value": 254,
        "saturation_threshold": 1.0,
        "relative_saturation": True,
    },
]


def visa(root: Path) -> None:
    rows = ["object,split,label,image,mask"]
    for name in ("candle", "pcb1"):
        images, masks = f"{name}/Data/Images", f"{name}/Data/Masks/Anomaly"
        for number in range(8):
            image = f"{images}/Normal/{number:04d}.JPG"
            picture(root / image)
            rows.append(f"{name},{'train' if number < 6 else 'test'},normal,{image},")
        for number in range(3):
            image, annotation = f"{images}/Anomaly/{number:03d}.JPG", f"{masks}/{number:03d}.png"
            picture(root / image)
            mask(root / annotation, value=number + 1)
            rows.append(f"{name},test,anomaly,{image},{annotation}")
        (root / name / "image_anno.csv").write_text("image,label,mask\n")
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text("\n".join(rows) + "\n")


def msd(root: Path) -> None:
    for start in ("Oil", "Scr", "Sta"):
        for number in (1, 2):
            picture(root / "MSD" / "JPEGImages" / f"{start}_{number:04d}.jpg")
            palette_mask(root / "MSD" / "SegmentationClass" / f"{start}_{number:04d}.png")
    (root / "MSD" / "ImageSets").mkdir()
    (root / "MSD" / "ImageSets" / "train.txt").write_text("Oil_0001\n")


def msd_good(root: Path) -> None:
    for number in range(8):
        picture(root / "good" / f"good_{number:04d}.jpg")


def magnetic_tile_thu(root: Path) -> None:
    for name in ("Broken", "Crack", "Fold", "Impurity", "Rough"):
        for number in range(2):
            picture(root / "data" / name / f"{number}.bmp")
    for number in range(8):
        picture(root / "data" / "Free" / f"{number}.bmp")


def magnetic_tile(root: Path) -> None:
    top = root / "Magnetic-tile-defect-datasets.-master"
    frame = 0
    for name in ("Blowhole", "Break", "Crack", "Fray", "Uneven", "Free"):
        for _ in range(8 if name == "Free" else 2):
            frame += 1000
            place = top / f"MT_{name}" / "Imgs" / f"exp1_num_{frame}.jpg"
            picture(place)
            mask(place.with_suffix(".png"), value=0 if name == "Free" else 200)
    (top / "README.md").write_text("welcome to use")


# A loose box around each defect; the short's reaches into a tile of which the short shows nothing.
PCB_BOXES = {"Missing_hole": (60, 60, 100, 110), "Short": (515, 60, 560, 110)}
PCB_DEFECTS = {"Missing_hole": (70, 70, 90, 100), "Short": (520, 70, 531, 100)}


def pcb(root: Path) -> None:
    """Boards 01 and 04, and 11 and 12, two images of two types each: all images of a board are
    its template, with a defect put in."""
    top = root / "PCB_DATASET"
    for name in ("01", "04", "11", "12"):
        template = board(top / "PCB_USED" / f"{name}.JPG", PCB_SIZE)
        for folder, box in PCB_BOXES.items():
            for number in (1, 5):
                stem = f"{name}_{folder.lower()}_{number:02d}"
                pasted(template, top / "images" / folder / f"{stem}.jpg", PCB_DEFECTS[folder])
                voc(top / "Annotations" / folder / f"{stem}.xml", folder.lower(), box, PCB_SIZE)
    picture(top / "rotation" / "Short_rotation" / "04_short_01.jpg")


def lcd_light_voc(root: Path) -> None:
    for number in range(1, 11):
        picture(root / "LCD" / "JPEGImages" / f"{number:04d}.jpg", LCD_SIZE)
        place = root / "LCD" / "Annotations" / f"{number:04d}.xml"
        voc(place, "line", (5, 5, 15, 25), LCD_SIZE)


def lcd_light_yolo(root: Path) -> None:
    for number in range(1, 11):
        picture(root / "images" / "train" / f"{number:04d}.jpg", LCD_SIZE)
        place = root / "labels" / "train" / f"{number:04d}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("1 0.025 0.03 0.025 0.04\n")
    names = "path: LCD\nnc: 3\nnames: ['Mura', 'Line', 'spot']  # in this order\n"
    (root / "lcd.yaml").write_text(names)
