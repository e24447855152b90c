"""A sheet of the images that look least like the others: each beside where it does so."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from blemish.evaluation.drawing import Picture, fitted, font, overlay, resized

COLUMNS = 4
PANEL = 160  # pixels, the larger side of one of the two pictures
GAP, CAPTION = 10, 34
INK, PAPER = (24, 24, 27), (255, 255, 255)
LETTERS = 44  # of a name that fit below two panels


class Entry(NamedTuple):
    """An image: its name, its deviations from what is usual, a picture of it (H, W, 3), and the
    map of its cells' distances (h, w)."""

    name: str
    deviations: float
    picture: Picture
    cells: NDArray[np.float32]


def draw_sheet(entries: Sequence[Entry]) -> Image.Image:
    """Entries in their order. One scale of colours for all, from their median to the largest."""
    low = float(np.median([np.median(entry.cells) for entry in entries]))
    high = max(float(np.max([entry.cells.max() for entry in entries])), low + 1e-6)
    rows = -(-len(entries) // COLUMNS)
    width, height = 2 * PANEL + GAP, PANEL + CAPTION + GAP
    size = (COLUMNS * (width + GAP) + GAP, rows * height + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (name, deviations, picture, cells) in enumerate(entries):
        row, column = divmod(number, COLUMNS)
        left, top = GAP + column * (width + GAP), GAP + row * height
        small = fitted(picture, (PANEL, PANEL))
        heat = overlay(small, resized(cells, (small.shape[1], small.shape[0])), low, high)
        for side, panel in enumerate((small, heat)):
            sheet.paste(Image.fromarray(panel), (left + side * PANEL, top))
        shown = name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}"
        draw.text((left, top + PANEL + 2), f"{number + 1}. {shown}", INK, font(11))
        draw.text((left, top + PANEL + 16), f"{deviations:+.1f} deviations", INK, font(11))
    return sheet
