"""Annotations as COCO's JSON holds them: one file for many images."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from blemish.core.errors import UserError
from blemish.datasets.dataset import Outline
from blemish.datasets.layouts.boxes import Box, polygon_box
from blemish.images.annotation_files import is_number, read_json

Entry = Mapping[str, Any]
MOST_RUNS = 500_000  # of one mask: its every second pixel in a thousand columns


@dataclass(frozen=True)
class CocoMask:
    """A defect known to the pixel, as runs of rows in columns, each a box."""

    kind: str
    area: float
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class CocoImage:
    """An image as a file names it, and its defects (each with the entry's number)."""

    name: str
    size: tuple[int, int] | None
    annotations: tuple[tuple[int, Entry], ...]


@dataclass(frozen=True)
class Coco:
    """The content of a file: its images by their names, and the names of its categories."""

    path: Path
    images: Mapping[str, CocoImage]
    kinds: Mapping[int, str]


def is_coco(content: object) -> bool:
    """Whether the value of a JSON file has COCO's lists."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def read_coco(path: Path, content: Any = None) -> Coco:
    """A file's images and annotations. Raises UserError naming the file and the entry that is
    damaged or names an image or a category that the file does not have."""
    content = read_json(path) if content is None else content
    kinds = {
        int(entry["id"]): str(entry.get("name") or "")
        for _, entry in _entries(content, "categories", path, ("id",))
    }
    names: dict[int, Entry] = {}
    for number, entry in _entries(content, "images", path, ("id",)):
        if not isinstance(entry.get("file_name"), str) or entry["id"] in names:
            raise UserError(f"{path}, images {number}: no `file_name`, or an `id` used twice")
        names[entry["id"]] = entry
    found = _annotations(content, path, names, kinds)
    images = [
        CocoImage(_name(entry), _size(entry), tuple(found[key])) for key, entry in names.items()
    ]
    by_name = {image.name: image for image in images}
    if len(by_name) < len(images):
        raise UserError(f"{path}: `images` names a file twice: each needs a name of its own")
    return Coco(path, by_name, kinds)


def _annotations(
    content: Any, path: Path, names: Mapping[int, Entry], kinds: Mapping[int, str]
) -> Mapping[int, list[tuple[int, Entry]]]:
    """The entries of each image, with their numbers."""
    found: defaultdict[int, list[tuple[int, Entry]]] = defaultdict(list)
    for number, entry in _entries(content, "annotations", path, ("image_id", "category_id")):
        if entry["image_id"] not in names or entry["category_id"] not in kinds:
            raise UserError(
                f"{path}, annotations {number}: image {entry['image_id']} or category "
                f"{entry['category_id']} is not in the file"
            )
        found[entry["image_id"]].append((number, entry))
    return found


def _entries(
    content: Any, key: str, path: Path, numbers: tuple[str, ...]
) -> Iterator[tuple[int, Entry]]:
    """The numbered objects of a list, each with these whole numbers."""
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UserError(f"{path}: not a file of COCO: `{key}` must be a list")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or any(type(entry.get(key)) is not int for key in numbers):
            raise UserError(f"{path}, {key} {number}: expected {', '.join(numbers)} as numbers")
        yield number, entry


def _name(entry: Entry) -> str:
    return PurePosixPath(entry["file_name"].replace("\\", "/")).as_posix()


def _size(entry: Entry) -> tuple[int, int] | None:
    width, height = entry.get("width"), entry.get("height")
    return (
        (width, height) if type(width) is int and type(height) is int and width * height else None
    )


def coco_defects(coco: Coco, image: CocoImage, size: tuple[int, int]) -> list[Box | CocoMask]:
    """The defects of one image of this size (width, height), which the file must state, too."""
    if image.size and image.size != size:
        raise UserError(
            f"{coco.path}: {image.name[:80]} is {image.size[0]}×{image.size[1]} there, but "
            f"{size[0]}×{size[1]} in the file: the two do not belong together"
        )
    defects: list[Box | CocoMask] = []
    for number, entry in image.annotations:
        where = f"{coco.path}, annotations {number}"
        kind, shape = coco.kinds[entry["category_id"]], entry.get("segmentation")
        if isinstance(shape, dict):
            defects.append(_run_mask(kind, shape, size, where))
        else:
            defects += [polygon_box(kind, values, size, where) for values in _corners(entry, where)]
    return defects


def _corners(entry: Entry, where: str) -> list[list[float]]:
    """The polygons of an entry; without one, its box."""
    polygons = entry.get("segmentation") or []
    if not isinstance(polygons, list) or not all(_is_numbers(polygon, 6) for polygon in polygons):
        raise UserError(f"{where}: `segmentation` must be lists of x, y of three or more corners")
    if polygons:
        return [[float(value) for value in polygon] for polygon in polygons]
    box = entry.get("bbox")
    if not isinstance(box, list) or not _is_numbers(box, 4) or len(box) != 4 or min(box[2:]) <= 0:
        raise UserError(f"{where}: neither `segmentation` nor `bbox` [x, y, width, height]")
    x, y, width, height = map(float, box)
    return [[x, y, x + width, y + height]]


def _is_numbers(values: object, least: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) >= least
        and len(values) % 2 == 0
        and all(map(is_number, values))
    )


def _run_mask(kind: str, shape: Entry, size: tuple[int, int], where: str) -> CocoMask:
    """A mask in COCO's uncompressed run lengths: down the columns, first what is unmarked."""
    counts, stated = shape.get("counts"), shape.get("size")
    if isinstance(counts, str):
        raise UserError(
            f"{where}: compressed run lengths are not read: export polygons or uncompressed ones"
        )
    width, height = size
    fits = isinstance(counts, list) and all(
        type(count) is int and 0 <= count <= width * height for count in counts
    )
    if not isinstance(counts, list) or not fits or len(counts) > MOST_RUNS:
        raise UserError(f"{where}: `counts` must be up to {MOST_RUNS} lengths of runs")
    if stated != [height, width] or sum(counts) != width * height:
        raise UserError(f"{where}: the runs are of another size than the image, {width}×{height}")
    outlines = tuple(_columns(counts, height))
    if not outlines:
        raise UserError(f"{where}: the mask is empty")
    # Its name is checked as a box's is.
    named = polygon_box(kind, [0.0, 0.0, float(width), float(height)], size, where)
    return CocoMask(named.kind, float(sum(counts[1::2])), outlines)


def _columns(counts: list[int], height: int) -> Iterator[Outline]:
    """The marked runs as boxes, one a column that a run reaches into, or many whole columns."""
    at = 0
    for number, count in enumerate(counts):
        start, at = at, at + count
        while number % 2 and start < at:
            column, row = divmod(start, height)
            if row == 0 and at - start >= height:
                whole = (at - start) // height
                yield (float(column), 0.0), (float(column + whole), float(height))
                start += whole * height
            else:
                end = min(at, (column + 1) * height)
                bottom = float(row + end - start)
                yield (float(column), float(row)), (column + 1.0, bottom)
                start = end
