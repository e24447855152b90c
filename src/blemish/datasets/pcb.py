"""pcb: printed circuit boards with six kinds of defects in boxes (Huang and Wei)."""

import re
from collections.abc import Iterator
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Layout, images_in
from blemish.datasets.layouts.archive_tree import (
    find_folder,
    folders_in,
    holding,
    known_entry,
    link_tree,
)
from blemish.datasets.layouts.boxes import image_size, voc_boxes
from blemish.datasets.layouts.tiles import Annotated, tile_items
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

HOME = "robotics.pkusz.edu.cn"
ARCHIVES = (hand_placed("PCB_DATASET", f"{HOME}, the open-lab data set of PCB defects"),)
WHOLE = "board"
BOARDS = ("01", "04", "05", "06", "07", "08", "09", "10", "11", "12")
TEST_BOARDS = ("11", "12")
# Of each board and type, the images whose running number is a multiple of this are for the test.
EVERY = 5
# Boards are photographed at about 3000×1600 with defects of 20 to 100 px: shrunk whole to what a
# network sees they would vanish.
SIDE = 512
PUBLISHED_IMAGES = 693
PARTS = ("images", "Annotations", "PCB_USED")
NAME = re.compile(r"(?P<board>\d\d)_(?P<kind>[a-z_]+)_(?P<number>\d+)", re.IGNORECASE)


def fetch(category: str, folder: Path) -> None:
    """Link the images, boxes and templates of a board, or of all; `rotation/` is left out."""
    expected = "the folders images/, Annotations/ and PCB_USED/ somewhere in it"
    root = find_folder(unpacked(ARCHIVES[0]), holding(*PARTS), expected)

    def wanted(file: Path) -> bool:
        return category == WHOLE or file.stem.partition("_")[0] == category

    for name in PARTS:
        link_tree(known_entry(root, name), folder / name, wanted, f"no file of {category!r}")


def layout(folder: Path, category: str) -> Layout:
    """Tiles of images and templates; test images by board (`board`) or by running number."""
    defective = list(_images(folder, category))
    templates = [
        Annotated(image, (), image.stem, _is_test(image.stem, 0, category))
        for image in images_in(folder / "PCB_USED")
    ]
    items, unused = tile_items([*templates, *defective], SIDE)
    rule = (
        f"boards {' and '.join(TEST_BOARDS)} are the test"
        if category == WHOLE
        else f"images whose number is a multiple of {EVERY} are the test"
    )
    notes = [
        f"pcb has no normal images beyond templates: normals are {SIDE} px tiles that touch no "
        "annotated box; masks are drawn from the boxes.",
        f"pcb has no published split: {rule}, the others give only their normal tiles to "
        f"training; {unused} defective tiles of theirs are not used.",
    ]
    if category != WHOLE:
        notes.append(
            "The defects were put into pictures of one board: normal test tiles resemble training "
            "tiles of the same place. Use pcb/board for boards never seen."
        )
    elif len(defective) != PUBLISHED_IMAGES:
        notes.append(f"{len(defective)} images were found, {PUBLISHED_IMAGES} are published.")
    return Layout(items, masks="boxes", notes=tuple(notes))


def _images(folder: Path, category: str) -> Iterator[Annotated]:
    """The annotated images of all types."""
    annotations = {path.stem: path for path in sorted((folder / "Annotations").rglob("*.xml"))}
    for kind in folders_in(folder / "images"):
        for image in images_in(kind):
            name = NAME.fullmatch(image.stem)
            if name is None:
                raise UserError(f"{image}: expected a name like 01_missing_hole_01.jpg")
            if image.stem not in annotations:
                raise UserError(f"{image}: no boxes in Annotations (expected {image.stem}.xml)")
            boxes = voc_boxes(annotations[image.stem], image_size(image))
            board, number = name["board"], int(name["number"])
            group = board if category == WHOLE else image.stem
            yield Annotated(image, boxes, group, _is_test(board, number, category))


def _is_test(board: str, number: int, category: str) -> bool:
    """Templates have the number 0: with one board they are for training."""
    if category == WHOLE:
        return board in TEST_BOARDS
    return number > 0 and number % EVERY == 0


DATA_SETS = (
    DataSet(
        name="pcb",
        title="PKU-Market-PCB, printed circuit boards",
        categories=(WHOLE, *BOARDS),
        licence="for research",
        citation="Huang and Wei, A PCB data set for defects detection and classification, "
        "arXiv:1901.08204 (2019)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
    ),
)
