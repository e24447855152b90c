"""Polygons as the program LabelMe saves them: one JSON file an image."""

import json
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError
from blemish.datasets.layouts.boxes import Box, polygon_box

LEAST = {"polygon": 3, "rectangle": 2}  # points
FARTHEST = 1e9  # pixels: no image is so large
LARGEST = 100_000_000  # bytes: the file may hold its image


def labelme_polygons(path: Path, size: tuple[int, int]) -> list[Box]:
    """The polygons and rectangles of a file that describes an image of this size (width, height).

    Raises UserError naming the file, and the shape, that is damaged or does not fit the image.
    """
    boxes = []
    for number, shape in enumerate(_shapes(path), 1):
        where = f"{path}, shape {number}"
        form, values = str(shape.get("shape_type", "polygon")), _values(shape.get("points"))
        if form not in LEAST:
            raise UserError(f"{where}: a {form!r}, expected polygons or rectangles")
        if len(values) < 2 * LEAST[form]:
            raise UserError(f"{where}: expected points [[x, y], …]: fetch the unit again")
        boxes.append(polygon_box(str(shape.get("label") or ""), values, size, where))
    return boxes


def _values(points: object) -> list[float]:
    """x, y, x, y … of a list of points; nothing of anything else."""
    if not isinstance(points, list):
        return []
    values: list[float] = []
    for point in points:
        pair = isinstance(point, list) and len(point) == 2
        if not pair or not all(type(value) in {int, float} for value in point):
            return []
        if not all(abs(value) < FARTHEST for value in point):
            return []
        values += map(float, point)
    return values


def _shapes(path: Path) -> list[dict[str, Any]]:
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
