"""Shapes as the program LabelMe saves them: one JSON file an image."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from blemish.core.errors import UserError
from blemish.images.annotation_files import is_number, read_json

CORNERS = 180  # of the polygon that a circle becomes
FORMS = ("polygon", "rectangle", "circle")
FAR = 5.0  # sizes of the image; a polygon that reaches further outside is not of this image


class Shape(NamedTuple):
    """A shape that encloses an area.

    label: as written, "" where there is none. values: its corners x, y, x, y … in pixels, at least
    three, or the two of a rectangle. where: file and number, for messages.
    """

    label: str
    values: list[float]
    where: str


def labelme_shapes(
    path: Path, size: tuple[int, int], remedy: str = "the two do not belong together"
) -> list[Shape]:
    """The shapes of a file that describes an image of this size (width, height).

    remedy: what is said to a user whose file states another size. Raises UserError naming the
    file, and the shape, that is damaged, encloses nothing (a line, a point), or states another
    size than the image's.
    """
    content = read_json(path, "a file of LabelMe")
    _check_size(content, path, size, remedy)
    shapes = []
    for number, shape in enumerate(_shapes(content, path), 1):
        where = f"{path}, shape {number}"
        form = shape.get("shape_type") or "polygon"
        if form not in FORMS:
            raise UserError(
                f"{where}: a {str(form)[:20]!r}, which encloses no area that is read: draw it as "
                f"a {', '.join(FORMS[:-1])} or {FORMS[-1]}"
            )
        values = _values(shape.get("points"), str(form), where)
        shapes.append(Shape(str(shape.get("label") or ""), values, where))
    return shapes


def check_near(values: Sequence[float], size: tuple[int, int], where: str) -> None:
    """Raise UserError, naming `where`, for corners x, y, x, y … far outside an image of `size`
    (width, height): they are of another image."""
    if any(abs(value) > FAR * size[axis % 2] for axis, value in enumerate(values)):
        raise UserError(f"{where}: the outline lies far outside the image")


def _values(points: object, form: str, where: str) -> list[float]:
    """The corners x, y, x, y …, two of a rectangle."""
    fits = isinstance(points, list) and all(
        isinstance(point, list) and len(point) == 2 and all(map(is_number, point))
        for point in points
    )
    if not isinstance(points, list) or not fits:
        raise UserError(f"{where}: expected points [[x, y], …] of finite numbers")
    if len(points) < (3 if form == "polygon" else 2) or (form == "circle" and len(points) > 2):
        raise UserError(f"{where}: {len(points)} points do not make a {form}")
    values = [float(value) for point in points for value in point]
    return _circle(*values) if form == "circle" else values


def _circle(x: float, y: float, edge_x: float, edge_y: float) -> list[float]:
    """A polygon around a centre through a point of the edge."""
    radius = math.hypot(edge_x - x, edge_y - y)
    angles = (2 * math.pi * corner / CORNERS for corner in range(CORNERS))
    return [
        value
        for angle in angles
        for value in (x + radius * math.cos(angle), y + radius * math.sin(angle))
    ]


def _shapes(content: Any, path: Path) -> list[dict[str, object]]:
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UserError(f"{path}: not a file of LabelMe: `shapes` must be a list of objects")
    return shapes


def _check_size(content: Any, path: Path, size: tuple[int, int], remedy: str) -> None:
    """The stated size, where there is one, must be the image's: else the shapes lie elsewhere."""
    keys = ("imageWidth", "imageHeight")
    stated = tuple(content.get(key) for key in keys) if isinstance(content, dict) else (0, 0)
    if all(map(is_number, stated)) and all(stated) and stated != size:
        raise UserError(
            f"{path}: describes an image of {stated[0]:g}×{stated[1]:g}, but it is "
            f"{size[0]}×{size[1]}: {remedy}"
        )
