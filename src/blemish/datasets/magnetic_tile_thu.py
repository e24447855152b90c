"""magnetic-tile-thu: magnetic tiles in class folders (the authors of DSARAD, Tsinghua).

Whether masks lie beside the images is not published: where they do, they are masks.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in, is_image
from blemish.datasets.layouts.archive_tree import folders_below, link_tree, listing
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

HOME = "github.com/Wangh277/DSARAD"
ORIGIN = (
    f"the authors' page {HOME}: it offers Magnetic_Tile_Dataset.zip directly from Tsinghua's cloud "
    "(cloud.tsinghua.edu.cn), and the same on Google Drive"
)
ARCHIVES = (
    hand_placed("Magnetic_Tile_Dataset", ORIGIN) + hand_placed("magnetic-tile-thu", ORIGIN),
)
# published numbers of images
DEFECTS = {"broken": 1003, "crack": 95, "fold": 54, "impurity": 360, "rough": 457}
NORMAL = frozenset({"good", "free", "normal", "ok"})
MASK_NAME = re.compile(r"[_-](?:mask|label|gt|seg|annotation)s?$", re.IGNORECASE)
ANNOTATIONS = frozenset({"mask", "masks", "label", "labels", "gt", "ground"})


def fetch(_category: str, folder: Path) -> None:
    """Link the images in their class folders."""
    link_tree(unpacked(ARCHIVES[0]), folder, is_image, "expected folders of images")


def layout(folder: Path, _category: str) -> Layout:
    """One folder a class, at any depth; normal images below `train` or `test` keep that split."""
    items = []
    for inner, words in _class_folders(folder):
        kind = next((word for word in reversed(words) if word in NORMAL or word in DEFECTS), None)
        if kind is None:
            continue
        defect = "good" if kind in NORMAL else kind
        published = next((word for word in words if word in {"train", "test"}), None)
        split = published if defect == "good" else "test"
        items += [Item(image, defect, split, mask) for image, mask in with_masks(inner)]
    present = {item.defect for item in items}
    missing = [name for name in ("good", *DEFECTS) if name not in present]
    if missing:
        raise UserError(
            f"{folder}: no folder of images named {missing[0]!r}: expected one folder for each of "
            f"{', '.join(DEFECTS)} and good (or normal, free, ok); found {listing(folder)}"
        )
    items, masks, note = _judged(items)
    notes = [note]
    if any(item.split is None for item in items):
        notes.append("No published split: good images are divided by a seeded rule.")
    return Layout(items, masks=masks, notes=tuple(notes))


def _judged(items: list[Item]) -> tuple[list[Item], str, str]:
    """The items, "pixel" or "none", and a sentence on it. Masks of only some are not used."""
    defective = [item for item in items if item.label]
    masked = sum(item.mask is not None for item in defective)
    if masked == len(defective):
        return items, "pixel", "The files beside the images that are named like them are masks."
    given = (
        f"only {masked} of {len(defective)} defective images have a mask" if masked else "no masks"
    )
    note = f"magnetic-tile-thu: {given}: only image metrics are given."
    return [replace(item, mask=None) for item in items], "none", note


def with_masks(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """The images directly in a folder, each with the mask that lies beside it, if one does.

    A mask is named like its image with `_mask`, `_label`, `_gt` … behind, or is a PNG of the very
    name beside an image that is none (as the other set of magnetic tiles has them).
    """
    files = list(images_in(folder))
    by_stem: dict[str, list[Path]] = {}
    for file in files:
        by_stem.setdefault(file.stem, []).append(file)
    masks: dict[Path, Path] = {}
    for file in files:
        base = MASK_NAME.sub("", file.stem)
        others = [other for other in by_stem.get(base, []) if other != file]
        is_png = file.suffix.lower() == ".png"
        if base == file.stem:
            others = [other for other in others if is_png and other.suffix.lower() != ".png"]
        if others:
            masks[file] = others[0]
    mask_of = {image: mask for mask, image in masks.items()}
    yield from ((file, mask_of.get(file)) for file in files if file not in masks)


def _class_folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders of images and the words of their names from the top down, without masks."""
    for inner in folders_below(folder):
        words = re.split(r"[^a-z]+", inner.relative_to(folder).as_posix().lower())
        if not ANNOTATIONS.intersection(words):
            yield inner, words


DATA_SETS = (
    DataSet(
        name="magnetic-tile-thu",
        title="Magnetic tiles of DSARAD",
        categories=("tile",),
        licence="none stated",
        citation="DSARAD, repository Wangh277/DSARAD",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        # How the 1,858 good images are divided is not stated.
        expected={"tile": {"test_defective": sum(DEFECTS.values())}},
    ),
)
