"""Boxes around defects, as detection data sets annotate them: VOC xml and YOLO txt."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from blemish.core.errors import UserError
from blemish.datasets.dataset import Outline
from blemish.images.annotation_files import check_length
from blemish.images.formats import IMAGE_FORMATS
from blemish.images.labelme import check_near


@dataclass(frozen=True)
class Box:
    """A defect's type and its box in pixels, right and bottom excluded; `polygon` where it is one
    that was drawn, the box being around it."""

    kind: str
    left: float
    top: float
    right: float
    bottom: float
    polygon: Outline = ()

    def overlap(self, tile: tuple[int, int, int, int], margin: float = 0) -> float:
        """The area (pixels) shared with a tile (left, top, width, height), the box being grown
        by `margin` on each side."""
        left, top, width, height = tile
        across = min(self.right + margin, left + width) - max(self.left - margin, left)
        down = min(self.bottom + margin, top + height) - max(self.top - margin, top)
        return max(across, 0) * max(down, 0)

    @property
    def outlines(self) -> tuple[Outline, ...]:
        """What is to be drawn as its mask."""
        return (self.polygon or ((self.left, self.top), (self.right, self.bottom)),)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is looked at, read from its header alone."""
    from PIL import Image

    from blemish.images.reading import DAMAGED

    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            width, height = image.size
            lies = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: turned by 90 degrees
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: not a whole image ({error}); replace or remove the file"
        ) from None
    return (height, width) if lies else (width, height)


def voc_boxes(path: Path, size: tuple[int, int]) -> list[Box]:
    """The objects of a PASCAL VOC file that describes an image of this size (width, height).

    Raises UserError naming the file, and the object, that is damaged or does not fit the image.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    check_length(path)
    try:
        root = parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException:
        raise UserError(f"{path}: holds a DOCTYPE or entities: refused") from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise UserError(f"{path}: not valid XML ({error}): fetch the unit again") from None
    _check_size(root, path, size)
    boxes = []
    for number, entry in enumerate(root.iter("object"), 1):
        values = [entry.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
        kind = (entry.findtext("name") or "").strip()
        boxes.append(_box(kind, _numbers(values), size, f"{path}, object {number}"))
    return boxes


def _check_size(root: Element, path: Path, size: tuple[int, int]) -> None:
    """The stated size, where there is one, must be the image's: else the boxes lie elsewhere."""
    stated = _numbers([root.findtext("size/width"), root.findtext("size/height")])
    if stated and all(stated) and tuple(stated) != size:
        raise UserError(
            f"{path}: describes an image of {stated[0]:g}×{stated[1]:g}, but it is "
            f"{size[0]}×{size[1]}: the two do not belong together"
        )


def yolo_boxes(path: Path, size: tuple[int, int], kinds: Sequence[str]) -> list[Box]:
    """The lines `class x y width height` (centre and size as shares) of a YOLO file, or of its
    segmentation `class x y x y x y …`.

    `kinds`: the names of the classes 0, 1, …. Raises UserError naming the line that is wrong.
    """
    boxes = []
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        words = line.split()
        values = _numbers(words[1:])
        is_polygon = len(values) >= 6 and len(values) % 2 == 0
        # a fifth number is how sure a detector was
        if not words[0].isdecimal() or not (is_polygon or len(values) in {4, 5}):
            raise UserError(f"{where}: expected `class x y width height` or a polygon")
        if int(words[0]) >= len(kinds):
            raise UserError(f"{where}: class {words[0]}, but only {len(kinds)} classes are named")
        placed = [value * size[axis % 2] for axis, value in enumerate(values)]
        read = polygon_box if is_polygon else _centred
        boxes.append(read(kinds[int(words[0])], placed, size, where))
    return boxes


def _centred(kind: str, values: Sequence[float], size: tuple[int, int], where: str) -> Box:
    x, y, across, down = values[:4]
    corners = [x - across / 2, y - down / 2, x + across / 2, y + down / 2]
    return _box(kind, corners, size, where)


def polygon_box(kind: str, values: Sequence[float], size: tuple[int, int], where: str) -> Box:
    """A defect by its corners x, y, x, y … in pixels; two corners are those of a box.

    Raises UserError naming `where` for one that has no name or lies outside an image of `size`.
    """
    xs, ys = values[::2], values[1::2]
    around = _box(kind, [min(xs), min(ys), max(xs), max(ys)], size, where)
    check_near(values, size, where)
    corners = tuple(zip(xs, ys, strict=True))
    return replace(around, polygon=corners if len(corners) > 2 else ())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    check_length(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text: fetch the unit again") from None
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _numbers(words: Sequence[str | None]) -> list[float]:
    """The words as finite numbers; nothing unless all are."""
    try:
        values = [float(word or "") for word in words]
    except ValueError:
        return []
    return values if all(math.isfinite(value) for value in values) else []


def kind_name(name: str) -> str:
    """A defect's type as it becomes the name of a folder: `Mura ` is mura, `Light spot`
    light_spot; nothing is left of `../..`."""
    return re.sub(r"[^\w+-]+", "_", name.casefold()).strip("_")


def _box(kind: str, corners: Sequence[float], size: tuple[int, int], where: str) -> Box:
    """A box that has a type and an area inside the image."""
    kind = kind_name(kind)
    if kind in {"", "good"}:
        raise UserError(f"{where}: the defect has no name, or is called good")
    finite = len(corners) == 4 and all(math.isfinite(corner) for corner in corners)
    box = Box(kind, corners[0], corners[1], corners[2], corners[3]) if finite else None
    if box is None or not box.overlap((0, 0, *size)):
        raise UserError(f"{where}: the box {list(corners)} lies outside the image or is empty")
    return box
