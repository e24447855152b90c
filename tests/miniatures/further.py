"""Builders of the sets that are not in MVTec's layout, with the quirks of the real archives."""

import json
from pathlib import Path

from tests.miniatures.paint import SIZE, mask, picture

STRIP = (1024, 256)  # AITEX's are four times as long
# Codes of AITEX's good strips' folders, by fabric
ROLLS = {"00": "2306881-210020u", "04": "2311694-2040n7u"}


def mvtec2(root: Path) -> None:
    for name in ("can", "vial"):
        top = root / "mvtec_ad_2" / name
        for part, count in (("train", 6), ("validation", 2), ("test_public", 2)):
            for number in range(count):
                picture(top / part / "good" / f"{number:03d}_regular.png")
        for number, light in enumerate(("regular", "overexposed", "shift_1")):
            picture(top / "test_public" / "bad" / f"{number:03d}_{light}.png")
            truth = top / "test_public" / "ground_truth" / "bad"
            mask(truth / f"{number:03d}_{light}_mask.png")
        for part in ("test_private", "test_private_mixed"):
            picture(top / part / "000_regular.png")


def ksdd2(root: Path) -> None:
    """Every image has a mask, empty where it is good; training has defects, and a stray copy."""
    for part, first, good, bad in (("train", 10000, 6, 2), ("test", 20000, 2, 3)):
        for number in range(good + bad):
            stem = root / part / f"{first + number}"
            picture(stem.with_suffix(".png"))
            mask(stem.with_name(f"{stem.name}_GT.png"), value=255 * (number >= good))
    mask(root / "train" / "10006_GT (copy).png")


def btad(root: Path) -> None:
    """Images are bmp where masks are png."""
    for name in ("01", "03"):
        top = root / "BTech_Dataset_transformed" / name
        for part, count in (("train/ok", 6), ("test/ok", 2), ("test/ko", 3)):
            for number in range(count):
                picture(top / part / f"{number:04d}.bmp")
                if part == "test/ko":
                    mask(top / "ground_truth/ko" / f"{number:04d}.png")


def dagm(root: Path) -> None:
    for name in ("Class1", "Class10"):
        for part, good, bad in (("Train", 6, 2), ("Test", 2, 3)):
            top = root / "DAGM_KaggleUpload" / name / part
            lines = ["1"]
            for number in range(1, good + bad + 1):
                picture(top / f"{number:04d}.PNG")
                label = f"{number:04d}_label.PNG" if number > good else "0"
                lines.append(f"{number}\t{int(label != '0')}\t{number:04d}.PNG\t0\t{label}")
                if number > good:
                    mask(top / "Label" / label)
            (top / "Label" / "Labels.txt").write_text("\n".join(lines))


def aitex_good(root: Path) -> None:
    for fabric, roll in ROLLS.items():
        for number in range(3):
            name = f"{number:04d}_000_{fabric}.png"
            picture(root / "NODefect_images" / roll / name, STRIP)


def aitex_defects(root: Path) -> None:
    picture(root / "Defect_images" / "0001_002_00.png", STRIP)
    for stem in ("0044_019_04", "0045_030_04", "0046_019_04", "0100_025_08"):
        picture(root / "Defect_images" / f"{stem}.png", STRIP)


def aitex_masks(root: Path) -> None:
    """One strip has two masks, one none, one an empty one; a nep is a few pixels."""
    top = root / "Mask_images"
    mask(top / "0001_002_00_mask.png", size=STRIP)
    mask(top / "0044_019_04_mask1.png", box=(10, 10, 30, 20), size=STRIP)
    mask(top / "0044_019_04_mask2.png", box=(250, 100, 262, 110), size=STRIP)
    mask(top / "0045_030_04_mask.png", box=(700, 40, 703, 42), size=STRIP)
    mask(top / "0046_019_04_mask.png", value=0, size=STRIP)


def bsdata(root: Path) -> None:
    """Four positions at nine times; two of them get a pit at the seventh."""
    top = root / "BSData-main"
    for place, pitted in (
        *(("277500_315", True), ("305000_090", True)),
        *(("332500_225", False), ("395000_270", False)),
    ):
        for day in range(1, 10):
            stem = f"01_2009{day:02d}041126_{place}_crop_2"
            picture(top / "data" / f"{stem}.jpg")
            if pitted and day >= 7:
                polygon = [[2.0, 3.0], [8.4, 3.2], [5.0, 9.0]]
                labelme(top / "label" / f"{stem}.json", "Pitting", polygon)
    picture(top / "data" / "01_200908225219_437500_315_crop_1.jpg", (30, 20))
    (top / "README.md").write_text("BSData")


def labelme(path: Path, kind: str, points: list[list[float]], form: str = "polygon") -> Path:
    """A file of LabelMe 4.5.6 with one shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"label": kind, "points": points, "group_id": None, "shape_type": form, "flags": {}}
    content = {"version": "4.5.6", "flags": {}, "shapes": [shape], "imagePath": f"{path.stem}.jpg"}
    path.write_text(json.dumps({**content, "imageHeight": SIZE[1], "imageWidth": SIZE[0]}))
    return path


def casting(root: Path) -> None:
    """Photographs, and augmented copies of them in a split that leaks."""
    for name, start, count in (("ok_front", "cast_ok_0_", 8), ("def_front", "cast_def_0_", 3)):
        for number in range(count):
            top = root / "casting_512x512" / "casting_512x512" / name
            picture(top / f"{start}{number}.jpeg")
            part = "train" if number % 2 else "test"
            picture(root / "casting_data" / "casting_data" / part / name / f"{number}.jpeg")
