"""Defects that were outlined with the program LabelMe."""

from pathlib import Path

from blemish.datasets.layouts.boxes import Box, polygon_box
from blemish.images.labelme import labelme_shapes


def labelme_polygons(path: Path, size: tuple[int, int]) -> list[Box]:
    """The shapes of a file that describes an image of this size (width, height).

    Raises UserError naming the file, and the shape, that is damaged, encloses nothing (a line, a
    point), or does not fit the image.
    """
    return [
        polygon_box(shape.label, shape.values, size, shape.where)
        for shape in labelme_shapes(path, size)
    ]
