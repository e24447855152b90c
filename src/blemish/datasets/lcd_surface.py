"""lcd-surface: MSD, phone screens with oil, scratches and stains (Zhang et al.)."""

import re
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in, is_image
from blemish.datasets.layouts.archive_tree import (
    find_folder,
    folders_below,
    holding,
    known_entry,
    link_tree,
)
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

HOME = "github.com/jianzhang96/MSD"
ORIGIN = f"the OneDrive or Baidu drive linked by {HOME}"
ARCHIVES = (hand_placed("MSD", ORIGIN), hand_placed("good", ORIGIN))
# How a defect's type begins in a file's or a folder's name.
KINDS = {"oil": "oil", "scr": "scratch", "sta": "stain"}


def fetch(_category: str, folder: Path) -> None:
    """Link `JPEGImages`, `SegmentationClass` and the images of `good.zip`."""
    expected = "the folders JPEGImages/ and SegmentationClass/ somewhere in it"
    fits = holding("JPEGImages", "SegmentationClass")
    root = find_folder(unpacked(ARCHIVES[0]), fits, expected)
    for name in ("JPEGImages", "SegmentationClass"):
        link_tree(known_entry(root, name), folder / name, is_image)
    good = unpacked(ARCHIVES[1])
    link_tree(good, folder / "good", is_image, "expected the defect-free images")


def layout(folder: Path, _category: str) -> Layout:
    """Defective images with their class masks (above 0), and the defect-free ones."""
    annotations = folder / "SegmentationClass"
    masks = {mask.stem: mask for mask in _images(annotations)}
    items = [Item(image, "good") for image in _images(folder / "good")]
    for image in _images(folder / "JPEGImages"):
        if image.stem not in masks:
            raise UserError(f"{image}: no mask in {annotations} (expected {image.stem}.png)")
        items.append(Item(image, _kind(image, folder), "test", masks[image.stem]))
    notes = (
        "The published 6:2:2 split is for supervised segmentation: here all defective images are "
        "the test, and the 20 defect-free ones are divided by a seeded rule.",
    )
    return Layout(items, masks="pixel", notes=notes)


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: fetch the unit again")
    return [image for inner in folders_below(folder) for image in images_in(inner)]


def _kind(image: Path, folder: Path) -> str:
    """`Scr_0001.jpg`, `scratch/0001.jpg` → scratch."""
    for part in reversed(image.relative_to(folder / "JPEGImages").parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            kind = next((name for start, name in KINDS.items() if word.startswith(start)), None)
            if kind:
                return kind
    raise UserError(f"{image}: expected oil, scratch or stain in its name or its folder's")


DATA_SETS = (
    DataSet(
        name="lcd-surface",
        title="MSD, surfaces of phone screens",
        categories=("phone",),
        licence="GPL-3.0",
        citation="Zhang et al., FDSNet: an accurate real-time surface defect segmentation network, "
        "ICASSP (2022)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        # The 20 defect-free images are divided by us; of each type there are 400.
        expected={"phone": {"test_defective": 1200}},
    ),
)
