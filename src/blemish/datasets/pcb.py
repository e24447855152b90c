"""pcb: printed circuit boards with six kinds of defects in boxes (Huang and Wei)."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from blemish.datasets.layouts.tiles import Annotated, Defect, tile_items
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


@dataclass(frozen=True)
class Photo:
    """An annotated image, its board, and its running number, which is 0 for a template."""

    image: Path
    boxes: tuple[Box, ...]
    board: str
    number: int = 0

    def is_test(self, category: str) -> bool:
        """With one board the template is for training."""
        if category == WHOLE:
            return self.board in TEST_BOARDS
        return self.number > 0 and self.number % EVERY == 0


def layout(folder: Path, category: str) -> Layout:
    """Tiles of images and templates; test images by board (`board`) or by running number."""
    photos = list(_photos(folder))
    clean = {image.stem: image for image in images_in(folder / TEMPLATES)}
    boards = sorted({photo.board for photo in photos})
    found = _defects(photos, clean)
    exact = [defects for defects in found if defects is not None]
    is_exact = len(exact) == len(found)
    images = [
        _annotated(Photo(path, (), board), (), True, category)
        for board, path in clean.items()
        if board in boards
    ]
    for photo, defects in zip(photos, found, strict=True):
        # Where the template shows the same, only the test of one board needs clean tiles too.
        normals = defects is None or (category != WHOLE and photo.is_test(category))
        shown = defects if is_exact and defects is not None else photo.boxes
        images.append(_annotated(photo, shown, normals, category))
    items, unused = tile_items(images, SIDE)
    kept = sum(isinstance(defect, Box) for defects in exact for defect in defects)
    notes = _notes(category, is_exact, unused, kept)
    notes += _on_templates([board for board in boards if board not in clean])
    if category == WHOLE:
        notes += differing(len(photos), PUBLISHED_IMAGES)
    masks = "pixel" if is_exact else "boxes"
    return Layout(items, masks, (), tuple(notes), own_split=True, one_scene=category != WHOLE)


def _annotated(photo: Photo, defects: Sequence[Defect], normals: bool, category: str) -> Annotated:
    """Of one board each place is a group of its own, which the twin guard finds."""
    group = photo.board if category == WHOLE else None
    return Annotated(photo.image, defects, group, photo.is_test(category), normals)


def _notes(category: str, is_exact: bool, unused: int, kept: int) -> list[str]:
    """What is said of normals, masks and the split."""
    rule = (
        f"boards {' and '.join(TEST_BOARDS)} are the test"
        if category == WHOLE
        else f"images whose number is a multiple of {EVERY} are the test"
    )
    boxes = f", {kept} that do not differ keep their boxes" if kept else ""
    masks = (
        f"masks are what differs from the template inside the boxes{boxes}"
        if is_exact
        else "masks are drawn from the boxes, as not every image has a template that shows the same"
    )
    one_photograph = (
        "All images of a board are one photograph into which defects were put: normal test tiles "
        "show the very pixels of training tiles. Use pcb/board for boards never seen."
    )
    return [
        f"pcb has no normal images beyond one template a board: normals are {SIDE} px tiles "
        f"without a defect; {masks}.",
        f"pcb has no published split: {rule}, training has normal tiles alone; {unused} defective "
        "tiles of training images are not used.",
        *([one_photograph] if category != WHOLE else []),
    ]


def _on_templates(without: Sequence[str]) -> list[str]:
    if not without:
        return []
    return [
        f"No template ({TEMPLATES}/) of board {', '.join(without)}: normals are the tiles of its "
        "images that touch no box."
    ]


def _defects(photos: Sequence[Photo], clean: Mapping[str, Path]) -> list[list[Region | Box] | None]:
    """The defects of each image to the pixel; None where they are not known."""

    def compared(photo: Photo) -> list[Region | Box] | None:
        if photo.board not in clean:
            return None
        return regions(read_image(photo.image), _template(clean[photo.board]), photo.boxes)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compared, photos))


@lru_cache(maxsize=len(BOARDS))
def _template(path: Path) -> NDArray[np.uint8]:
    return read_image(path)


def _photos(folder: Path) -> Iterator[Photo]:
    """The images of all types with their boxes."""
    annotations = {path.stem: path for path in sorted((folder / "Annotations").rglob("*.xml"))}
    for kind in folders_in(folder / "images"):
        for image in images_in(kind):
            name = NAME.fullmatch(image.stem)
            if name is None:
                raise UserError(f"{image}: expected a name like 01_missing_hole_01.jpg")
            if image.stem not in annotations:
                raise UserError(f"{image}: no boxes in Annotations (expected {image.stem}.xml)")
            boxes = voc_boxes(annotations[image.stem], image_size(image))
            yield Photo(image, tuple(boxes), name["board"], int(name["number"]))


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
