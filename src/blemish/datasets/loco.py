"""MVTec LOCO AD: structural and logical anomalies, a published validation split, defect channels.

One archive, three data sets: all anomalies as two slices, or only one kind of them.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    folders_in,
    holding,
    known_entry,
    link_file,
    link_images,
)
from blemish.datasets.layouts.grey_values import grey_values
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked

HOME = "mvtec.com/company/research/datasets/mvtec-loco"
ARCHIVES = (
    Archive(
        file="mvtec_loco_anomaly_detection.tar.xz",
        checksum="sha256:9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687",
        size=6_126_996_224,
        urls=(
            "https://www.mydrive.ch/shares/48237/1b9106ccdfbb09a0c414bd49fe44a14a/download/"
            "430647091-1646842701/mvtec_loco_anomaly_detection.tar.xz",
        ),
        by_hand=HOME,
    ),
)
KINDS = ("structural", "logical")
CONFIG = "defects_config.json"
# What a channel's pixel value means, and how much of a defect must be found (sPRO).
FIELDS: dict[str, type | tuple[type, ...]] = {
    "pixel_value": int,
    "defect_name": str,
    "saturation_threshold": (int, float),
    "relative_saturation": bool,
}

# train, validation, good, structural and logical test images. The archive of this checksum has
# 360 and 60 images of splicing_connectors, the publisher's table 354 and 59.
COUNTS = {
    "breakfast_box": (351, 62, 102, 90, 83),
    "juice_bottle": (335, 54, 94, 94, 142),
    "pushpins": (372, 69, 138, 81, 91),
    "screw_bag": (360, 60, 122, 82, 137),
    "splicing_connectors": (360, 60, 119, 85, 108),
}


def loco(name: str, title: str, *kinds: str) -> DataSet:
    """One of the three sets: with these kinds of anomalies, each a slice if there are several."""

    def fetch(category: str, folder: Path) -> None:
        fetch_kinds(kinds, category, folder)

    def layout(folder: Path, _category: str) -> Layout:
        return read_kinds(folder, kinds)

    return DataSet(
        name=name,
        title=title,
        categories=tuple(COUNTS),
        licence="CC BY-NC-SA 4.0",
        citation="Bergmann et al., Beyond dents and scratches: logical constraints in unsupervised "
        "anomaly detection and localization, International Journal of Computer Vision 130 (2022)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=(ARCHIVES,),
        expected={category: _counts(row, kinds) for category, row in COUNTS.items()},
    )


def _counts(row: Sequence[int], kinds: Sequence[str]) -> dict[str, int]:
    """A row of `COUNTS` by name, with the anomalies of `kinds` together."""
    *normals, structural, logical = row
    anomalies = {"structural": structural, "logical": logical}
    named = dict(zip(("train", "val", "test_good"), normals, strict=True))
    return {**named, "test_defective": sum(anomalies[kind] for kind in kinds)}


def fetch_kinds(kinds: Sequence[str], category: str, folder: Path) -> None:
    """Link one category's normal images, the anomalies of `kinds`, their channels, the config."""
    named = holding(f"{category}/train/good", f"{category}/test")
    expected = f"{category}/train/good and {category}/test somewhere in it"
    source = known_entry(find_folder(unpacked(ARCHIVES), named, expected), category)
    for name in ("train/good", "validation/good", "test/good"):
        link_images(entry(source, name), folder / name)
    for kind in kinds:
        group = f"{kind}_anomalies"
        link_images(entry(source, f"test/{group}"), folder / "test" / group)
        for channels in folders_in(entry(source, f"ground_truth/{group}")):
            link_images(channels, folder / "ground_truth" / group / channels.name)
    config = entry(source, CONFIG)
    if config is None:
        raise UserError(f"{source}: {CONFIG} is missing: fetch the archive again")
    link_file(config, folder / CONFIG)


def read_kinds(folder: Path, kinds: Sequence[str]) -> Layout:
    """The layout of one category.

    Raises UserError naming the config, the images or the channels that are missing or wrong.
    """
    values = check_config(folder / CONFIG)
    items = [
        Item(image, "good", split)
        for name, split in (("train", "train"), ("validation", "val"), ("test", "test"))
        for image in images_in(folder / name / "good")
    ]
    for kind in kinds:
        group = f"{kind}_anomalies"
        images = list(images_in(folder / "test" / group))
        if not images:
            raise UserError(f"{folder}/test/{group}: no images: fetch the unit again")
        items += [
            Item(
                image,
                group,
                "test",
                channels=_channels(image, folder / "ground_truth" / group, values),
                slice=kind if len(kinds) > 1 else "",
            )
            for image in images
        ]
    return Layout(items, masks="pixel", files=(folder / CONFIG,))


def _channels(image: Path, folder: Path, values: Collection[int]) -> Path:
    """`ground_truth/<group>/<stem>`, which must hold at least one channel.

    Raises UserError naming a channel of which the config does not say which defect it is: training
    would be in vain, for sPRO cannot be measured.
    """
    channels = folder / image.stem
    files = list(images_in(channels))
    if not files:
        raise UserError(
            f"{image}: no defect channels in {channels} (expected 000.png …): fetch the unit again"
        )
    for file in files:
        marked = grey_values(file) - {0}
        if len(marked) > 1 or not marked <= set(values):
            raise UserError(
                f"{file}: holds the values {sorted(marked)}: expected 0 and one `pixel_value` of "
                f"{CONFIG} ({', '.join(map(str, values))}): fetch the unit again"
            )
    return channels


def check_config(path: Path) -> list[int]:
    """The pixel values of `defects_config.json`. Raises UserError unless it has the published
    shape: for each pixel value from 1 to 255 the defect's name and its saturation."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: fetch the unit again") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}): fetch the unit again") from None
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: expected a list of defects: fetch the unit again")
    for number, defect in enumerate(entries):
        fault = _fault(defect)
        if fault:
            raise UserError(f"{path}: entry {number}: {fault}: fetch the unit again")
    values = [defect["pixel_value"] for defect in entries]
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: `pixel_value` {repeated} is there twice: fetch the unit again")
    return values


def _fault(defect: object) -> str:
    """What is wrong with one defect's entry; nothing if it is right."""
    if not isinstance(defect, dict):
        return "expected a mapping"
    for key, kind in FIELDS.items():
        value = defect.get(key)
        is_number = kind is not bool and isinstance(value, bool)
        if not isinstance(value, kind) or is_number:
            return f"`{key}` is {value!r}"
    if not 1 <= defect["pixel_value"] <= 255:
        return f"`pixel_value` is {defect['pixel_value']}, not 1 to 255"
    if not 0 < defect["saturation_threshold"] < float("inf"):
        return f"`saturation_threshold` is {defect['saturation_threshold']}, not positive"
    return ""


DATA_SETS = (
    loco("loco", "MVTec LOCO AD, structural and logical anomalies", *KINDS),
    loco("loco-structural", "MVTec LOCO AD, structural only", "structural"),
    loco("loco-logical", "MVTec LOCO AD, logical only", "logical"),
)
