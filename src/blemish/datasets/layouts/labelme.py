"""Polygons as the program LabelMe saves them: one JSON file an image."""

import json
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.layouts.boxes import Box, polygon_box

LARGEST = 100_000_000  # bytes: the file may hold its image


def labelme_polygons(path: Path, size: tuple[int, int]) -> list[Box]:
    """The polygons and rectangles of a file that describes an image of this size (width, height).

    Raises UserError naming the file, and the shape, that is damaged or does not fit the image.
    """
    boxes = []
    for number, shape in enumerate(_shapes(path), 1):
        where = f"{path}, shape {number}"
        kind, points = shape.get("label"), shape.get("points")
        form = shape.get("shape_type", "polygon")
        fits = isinstance(points, list) and all(
            isinstance(point, list)
            and len(point) == 2
            and all(type(value) in {int, float} for value in point)
            for point in points
        )
        if not fits or (form, len(points)) == ("polygon", 2) or len(points) < 2:
            raise UserError(f"{where}: expected points [[x, y], …]: fetch the unit again")
        if form not in {"polygon", "rectangle"}:
            raise UserError(f"{where}: a {form!r}, expected polygons or rectangles")
        values = [float(value) for point in points for value in point]
        boxes.append(polygon_box(str(kind or ""), values, size, where))
    return boxes


def _shapes(path: Path) -> list[dict[str, object]]:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than {LARGEST} bytes: refused")
        content = json.loads(path.read_bytes())
        shapes = content["shapes"]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: fetch the unit again") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not a file of LabelMe ({reason}): fetch the unit again") from None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UserError(f"{path}: `shapes` must be a list: fetch the unit again")
    return shapes
