"""zones.png: a contact sheet of images with their zones in colour, to see whether they fit."""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blemish.core.data_params import Tolerance
from blemish.images.reading import open_image, read_image
from blemish.images.zones import IGNORED

SHEET = 24  # images of the sheet
COLUMNS = 6
TILE = 200  # pixels a side of one of them
GAP = 6
LINE = 24  # pixels a line of the legend
TINT = 0.35  # share of a zone's colour in its pixels
STRIPE = 6  # pixels, half a period of the stripes over what is ignored
CAPTION = 16  # pixels, with NAME letters of an image's name
NAME = 34
Pair = tuple[Path, Path]
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


def write_zone_sheet(
    pairs: Sequence[Pair],
    names: Sequence[str],
    tolerances: Mapping[str, Tolerance],
    path: Path,
) -> None:
    """A contact sheet of (image, map of zones) files: of each map one image at least, as far as
    there is room, the rest evenly spread.

    Named zones are tinted and outlined in a colour each, what is ignored is striped; a legend says
    which is which and what its tolerance is.
    """
    colours = zone_colours(len(names))
    legend = [(name, colour, tolerances[name])
              for name, colour in zip(names, colours, strict=True)]  # fmt: skip
    chosen = _chosen(pairs)
    tiles = [_tile(read_image(image), np.asarray(open_image(zones).image, np.uint8), colours)
             for image, zones in chosen]  # fmt: skip
    columns = min(COLUMNS, len(tiles))
    step = max(tile.shape[0] for tile in tiles) + CAPTION + GAP
    width = max(columns * (TILE + GAP) + GAP, 2 * TILE)
    top = GAP + LINE * (1 + len(legend))
    sheet = Image.new("RGB", (width, top + -(-len(tiles) // columns) * step), "white")
    _write_legend(sheet, legend)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for number, ((image, _), tile) in enumerate(zip(chosen, tiles, strict=True)):
        row, column = divmod(number, columns)
        left, above = GAP + column * (TILE + GAP), top + row * step
        sheet.paste(Image.fromarray(tile), (left, above))
        name = "/".join(image.parts[-3:])
        draw.text((left, above + tile.shape[0]), name[-NAME:], fill=(60, 60, 60), font=font)
    sheet.save(path)


def _chosen(pairs: Sequence[Pair]) -> list[Pair]:
    """At most SHEET of the (image, map) files, in their order."""
    first = {zones: at for at, (_, zones) in reversed(list(enumerate(pairs)))}
    different = sorted(first.values())
    others = [at for at in range(len(pairs)) if at not in set(different)]
    shown = _spread(different, SHEET)
    return [pairs[at] for at in sorted(shown + _spread(others, SHEET - len(shown)))]


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """So many of the numbers, evenly spread."""
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)
    return [numbers[place] for place in places]


def zone_colours(count: int) -> list[Colour]:
    """Colours as unlike each other as so many can be, RGB in 0 … 255."""
    colours = []
    for number in range(count):
        # Neighbours in hue differ in brightness too.
        value = 1.0 if number % 2 == 0 else 0.75
        red, green, blue = colorsys.hsv_to_rgb((0.55 + number / max(count, 1)) % 1, 0.9, value)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours


def describe(tolerance: Tolerance) -> str:
    """A tolerance in words."""
    rate = tolerance.false_alarm_rate
    said = "false alarms as elsewhere" if rate is None else f"false alarms {rate:g}"
    return f"{said}, regions from {tolerance.min_area} px" if tolerance.min_area else said


def _write_legend(sheet: Image.Image, legend: Sequence[tuple[str, Colour, Tolerance]]) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    striped = np.full((LINE - 8, LINE - 8, 3), 150, np.uint8)
    swatch = _striped(striped, np.ones(striped.shape[:2], bool))
    sheet.paste(Image.fromarray(swatch), (GAP, GAP))
    draw.text((GAP + LINE, GAP - 1), "ignore: never judged, never counted", fill="black", font=font)
    for line, (name, colour, tolerance) in enumerate(legend, 1):
        top = GAP + line * LINE
        draw.rectangle((GAP, top, GAP + LINE - 9, top + LINE - 9), fill=colour)
        text = f"{name}: {describe(tolerance)}"
        draw.text((GAP + LINE, top - 1), text, fill="black", font=font)


def _tile(image: Picture, index: NDArray[np.uint8], colours: Sequence[Colour]) -> Picture:
    """The image with its zones, its longer side TILE pixels."""
    scale = TILE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    part = np.asarray(cv2.resize(index, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    small = _striped(small, part == IGNORED)
    for number, colour in enumerate(colours, 1):
        small = _tinted(small, part == number, colour)
    return small


def _tinted(image: Picture, zone: NDArray[np.bool_], colour: Colour) -> Picture:
    mixed = (1 - TINT) * image + TINT * np.array(colour)
    tinted = np.where(zone[:, :, None], mixed, image).astype(np.uint8)
    outlines, _ = cv2.findContours(zone.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(tinted, outlines, -1, colour, 1), np.uint8)


def _striped(image: Picture, zone: NDArray[np.bool_]) -> Picture:
    """What is ignored, in dark and light stripes so that one still sees what lies there."""
    ys, xs = np.indices(zone.shape)
    dark = ((xs + ys) // STRIPE) % 2 == 0
    shaded = np.where(dark[:, :, None], image // 4, image // 2 + 110)
    return np.where(zone[:, :, None], shaded, image).astype(np.uint8)
