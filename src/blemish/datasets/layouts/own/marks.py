"""What is drawn as an image's mask: the outlines of LabelMe, Pascal VOC, YOLO and COCO."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from blemish.core.errors import UserError
from blemish.datasets.dataset import Outline
from blemish.datasets.layouts.boxes import Box, image_size, voc_boxes, yolo_boxes
from blemish.datasets.layouts.class_names import LISTS, TABLES, class_names
from blemish.datasets.layouts.coco import CocoMask
from blemish.datasets.layouts.labelme import labelme_polygons
from blemish.datasets.layouts.own.pairs import Pairs, named_like, pair
from blemish.datasets.layouts.own.tree import Tree
from blemish.datasets.layouts.own.words import MASKS, word
from blemish.images.annotation_files import check_length, read_json
from blemish.images.outlines import half_down

SUFFIXES = (".json", ".xml", ".txt")
UNNAMED = tuple(f"class_{number}" for number in range(1000))  # of YOLO, where no file names them
_YOLO = re.compile(rb"\s*(\d+([ \t]+[-+.\deE]+){4,}\s*(\r?\n|\Z)|\Z)")


class Mark(NamedTuple):
    """A defect: its type, its outlines, its area in pixels, and how exact it is."""

    kind: str
    outlines: tuple[Outline, ...]
    area: float
    how: str  # "pixel", "polygons" or "boxes"


def mark(defect: Box | CocoMask) -> Mark:
    """A defect as it was read."""
    if isinstance(defect, CocoMask):
        return Mark(defect.kind, defect.outlines, defect.area, "pixel")
    if not defect.polygon:
        return Mark(defect.kind, defect.outlines, abs(_area(defect)), "boxes")
    return Mark(defect.kind, (half_down(defect.polygon),), abs(_area(defect)), "polygons")


def _area(box: Box) -> float:
    points = box.polygon
    if not points:
        return (box.right - box.left) * (box.bottom - box.top)
    following = (*points[1:], points[0])
    return (
        sum(x * down - across * y for (x, y), (across, down) in zip(points, following, strict=True))
        / 2
    )


def annotation_files(tree: Tree, images: Sequence[Path]) -> Pairs:
    """Image → the file of outlines that belongs to it.

    Raises UserError naming two of one image, or one that may belong to several images.
    """
    texts = (file for file in tree.texts if file.suffix.lower() in SUFFIXES)
    named = named_like(images, (file for file in texts if file.name.lower() not in LISTS))
    return pair(tree, images, [file for file in named if _has_outlines(tree, file)])


def _has_outlines(tree: Tree, file: Path) -> bool:
    """Whether a file that is named like an image is one of the formats, rather than other notes."""
    path = tree.root / file
    if file.suffix.lower() == ".json":
        content = read_json(path)
        return isinstance(content, dict) and "shapes" in content
    check_length(path)
    text = path.read_bytes()
    if file.suffix.lower() == ".xml":
        return b"<annotation" in text or b"<!DOCTYPE" in text
    return any(word(part) in MASKS for part in file.parts[:-1]) or bool(_YOLO.match(text))


def marks_in(tree: Tree, image: Path, file: Path, kinds: Sequence[str]) -> list[Mark]:
    """The defects that an image's file holds; `kinds` are the names of YOLO's classes."""
    size = image_size(tree.root / image)
    path = tree.root / file
    suffix = file.suffix.lower()
    if suffix == ".json":
        return [mark(box) for box in labelme_polygons(path, size)]
    if suffix == ".xml":
        return [mark(box) for box in voc_boxes(path, size)]
    return [mark(box) for box in yolo_boxes(path, size, kinds or UNNAMED)]


def class_files(tree: Tree) -> list[Path]:
    """The files that name YOLO's classes."""
    return [
        file for file in tree.texts if file.name.lower() in LISTS or file.suffix.lower() in TABLES
    ]


def kinds_of_classes(tree: Tree) -> tuple[str, ...]:
    """The names of YOLO's classes; nothing where no file has them."""
    return class_names([tree.root / file for file in class_files(tree)])


def json_if_whole(tree: Tree, file: Path) -> Any:
    """The value of a JSON file that may be anything; None if it is not JSON and not called so."""
    try:
        return read_json(tree.root / file)
    except UserError:
        if re.search(r"coco|annotation|instances", file.as_posix(), re.IGNORECASE):
            raise
        return None
