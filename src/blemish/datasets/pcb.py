"""pcb: printed circuit boards with six kinds of defects in boxes (Huang and Wei)."""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blemish.core.completeness import differing
from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Layout, images_in
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    folders_in,
    holding,
    known_entry,
    link_tree,
)
from blemish.datasets.layouts.boxes import Box, image_size, voc_boxes
from blemish.datasets.layouts.regions import Region, regions
from blemish.datasets.layouts.tiles import Annotated, tile_items
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked
from blemish.images.reading import read_image

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
PARTS, TEMPLATES = ("images", "Annotations"), "PCB_USED"
NAME = re.compile(r"(?P<board>\d\d)_(?P<kind>[a-z_]+)_(?P<number>\d+)", re.IGNORECASE)


def fetch(category: str, folder: Path) -> None:
    """Link the images, boxes and templates of a board, or of all; `rotation/` is left out."""
    expected = "the folders images/ and Annotations/ somewhere in it"
    root = find_folder(unpacked(ARCHIVES[0]), holding(*PARTS), expected)

    def wanted(file: Path) -> bool:
        return category == WHOLE or file.stem.partition("_")[0] == category

    for name in PARTS:
        link_tree(known_entry(root, name), folder / name, wanted, f"no file of {category!r}")
    templates = entry(root, TEMPLATES)
    if templates:
        link_tree(templates, folder / TEMPLATES, wanted)


def layout(folder: Path, category: str) -> Layout:
    """Tiles of images and templates; test images by board (`board`) or by running number."""
    clean = {image.stem: image for image in images_in(folder / TEMPLATES)}
    found = list(_images(folder))
    boards = sorted({board for *_, board, _ in found})
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each image is decoded for its masks
        defects = list(pool.map(lambda one: _defects(one[0], one[1], clean.get(one[2])), found))
    # Where one has no mask to the pixel the masks of all are boxes, as they are compared.
    exact = all(regions is not None for regions in defects)
    images = [
        Annotated(
            image,
            boxes if regions is None or not exact else regions,
            board if category == WHOLE else None,
            _is_test(board, number, category),
            normals=board not in clean or (category != WHOLE and _is_test(board, number, category)),
        )
        for (image, boxes, board, number), regions in zip(found, defects, strict=True)
    ]
    templates = [
        Annotated(
            clean[board], (), board if category == WHOLE else None, _is_test(board, 0, category)
        )
        for board in boards
        if board in clean
    ]
    items, unused = tile_items([*templates, *images], SIDE)
    notes = _notes(category, exact, unused, [board for board in boards if board not in clean])
    if category == WHOLE:
        notes += differing(len(found), PUBLISHED_IMAGES)
    return Layout(
        items,
        masks="pixel" if exact else "boxes",
        notes=tuple(notes),
        own_split=True,
        one_scene=category != WHOLE,
    )


def _notes(category: str, exact: bool, unused: int, without: Sequence[str]) -> list[str]:
    """What is said of normals, masks, the split and the boards `without` a template."""
    rule = (
        f"boards {' and '.join(TEST_BOARDS)} are the test"
        if category == WHOLE
        else f"images whose number is a multiple of {EVERY} are the test"
    )
    masks = (
        "masks are what differs from the template inside the boxes"
        if exact
        else "masks are drawn from the boxes, as not every image has a template that shows the same"
    )
    notes = [
        f"pcb has no normal images beyond one template a board: normals are {SIDE} px tiles "
        f"without a defect; {masks}.",
        f"pcb has no published split: {rule}, training has normal tiles alone; {unused} defective "
        "tiles of training images are not used.",
    ]
    if without:
        notes.append(
            f"No template ({TEMPLATES}/) of board {', '.join(without)}: normals are the tiles of "
            "its images that touch no box."
        )
    if category != WHOLE:
        notes.append(
            "All images of a board are one photograph into which defects were put: normal test "
            "tiles show the very pixels of training tiles. Use pcb/board for boards never seen."
        )
    return notes


def _defects(image: Path, boxes: list[Box], clean: Path | None) -> list[Region] | None:
    """The defects to the pixel; None where they are not known."""
    return regions(read_image(image), _template(clean), boxes) if clean else None


@lru_cache(maxsize=len(BOARDS))
def _template(path: Path) -> NDArray[np.uint8]:
    return read_image(path)


def _images(folder: Path) -> Iterator[tuple[Path, list[Box], str, int]]:
    """The images of all types with their boxes, their board and their running number."""
    annotations = {path.stem: path for path in sorted((folder / "Annotations").rglob("*.xml"))}
    for kind in folders_in(folder / "images"):
        for image in images_in(kind):
            name = NAME.fullmatch(image.stem)
            if name is None:
                raise UserError(f"{image}: expected a name like 01_missing_hole_01.jpg")
            if image.stem not in annotations:
                raise UserError(f"{image}: no boxes in Annotations (expected {image.stem}.xml)")
            boxes = voc_boxes(annotations[image.stem], image_size(image))
            yield image, boxes, name["board"], int(name["number"])


def _is_test(board: str, number: int, category: str) -> bool:
    """Templates have the number 0: with one board they are for training."""
    if category == WHOLE:
        return board in TEST_BOARDS
    return number > 0 and number % EVERY == 0


DATA_SETS = (
    DataSet(
        name="pcb",
        title="PKU-Market-PCB, circuit boards",
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
