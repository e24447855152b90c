"""magnetic-tile-thu: magnetic tiles in class folders, without masks (the authors of DSARAD)."""

import re
from collections.abc import Iterator
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in, is_image
from blemish.datasets.layouts.archive_tree import folders_below, link_tree, listing
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

HOME = "github.com/Wangh277/DSARAD"
ARCHIVES = (hand_placed("magnetic-tile-thu", f"the Google Drive folder linked by {HOME}, renamed"),)
# published numbers of images
DEFECTS = {"broken": 1003, "crack": 95, "fold": 54, "impurity": 360, "rough": 457}
NORMAL = frozenset({"good", "free", "normal", "ok"})
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
        items += [Item(image, defect, split) for image in images_in(inner)]
    present = {item.defect for item in items}
    missing = [name for name in ("good", *DEFECTS) if name not in present]
    if missing:
        raise UserError(
            f"{folder}: no folder of images named {missing[0]!r}: expected one folder for each of "
            f"{', '.join(DEFECTS)} and good (or normal, free, ok); found {listing(folder)}"
        )
    notes = ["magnetic-tile-thu has no masks: only image metrics are given."]
    if any(item.split is None for item in items):
        notes.append("No published split: good images are divided by a seeded rule.")
    return Layout(items, masks="none", notes=tuple(notes))


def _class_folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders of images and the words of their names from the top down, without masks."""
    for inner in folders_below(folder):
        words = re.split(r"[^a-z]+", inner.relative_to(folder).as_posix().lower())
        if not ANNOTATIONS.intersection(words):
            yield inner, words


DATA_SETS = (
    DataSet(
        name="magnetic-tile-thu",
        title="Magnetic tiles, the set of DSARAD",
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
