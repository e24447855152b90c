"""A display and the light it emits: test pattern, RGB stripes, black matrix, backlight.

Every category is one display model: a 2.2-gamma IPS panel with vertical RGB stripes and a pixel
pitch of 0.1155 mm (a 1.54-inch panel of 240 pixels), showing one pattern. Lengths are in display
pixels unless a name says otherwise. Light is linear; 1 is a white panel's mean in each channel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blemish.core.errors import UserError

from .options import CATEGORIES

Floats = NDArray[np.float32]

PITCH_MM = 0.1155
# Raster samples of one display pixel: rows, and columns so that every stripe has three.
ROWS, COLUMNS = 6, 9
SUBPIXEL = COLUMNS // 3
GAMMA = 2.2
BLACK_MATRIX = 0.07  # width of the opaque bar between two stripes
ROW_GAP = 0.18  # height of the opaque bar between two rows: gate line and transistor
LEAK = np.array([0.00085, 0.001, 0.00135], np.float32)  # black is bluish; contrast 1000:1
PANEL_NOISE = 0.006  # standard deviation of one stripe's transmission (cell gap, colour filter)


@dataclass(frozen=True)
class Display:
    """One display model with its pattern, and how the inspection station is set up for it."""

    codes: Callable[[int], Floats]  # panel side in pixels → 8-bit codes (side, side, 3)
    camera_pixels: float  # camera pixels across one display pixel
    exposure: float  # mean sensor signal of the brightest area, as a part of full well
    edge_light: float  # direction of the light guide, degrees
    pixels_go: str  # how a defective pixel or line can deviate: "both", "dark" or "bright"
    threshold: float  # contrast that is just noticeable, relative to a flat grey

    def panel_side(self, size: int) -> int:
        """Display pixels to render for a picture of `size` camera pixels and every pose."""
        return math.ceil(size * 1.02 / self.camera_pixels) + 8


def flat(red: int, green: int, blue: int) -> Callable[[int], Floats]:
    """A pattern of one colour."""
    return lambda side: np.full((side, side, 3), (red, green, blue), np.float32)


def gradient(side: int) -> Floats:
    """A horizontal grey ramp that fits the panel, from code 56 to 255."""
    ramp = np.rint(np.linspace(56, 255, side, dtype=np.float32))
    return np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (side, side, 3)))


def checker(side: int) -> Floats:
    """Black and white squares of 22 pixels, counted from the panel's centre."""
    square = (np.arange(side) - side // 2) // 22
    white = (square[:, None] + square[None, :]) % 2 == 0
    return np.repeat(np.where(white, 255, 0).astype(np.float32)[:, :, None], 3, axis=2)


ENTRIES = (
    ("Measurement", "09:41"), ("Channel 1", "24.6 °C"), ("Channel 2", "24.9 °C"),
    ("Humidity", "41 %RH"), ("Pump pressure", "1.82 bar"), ("Flow", "0.365 l/min"),
    ("Valve A", "open"), ("Valve B", "shut"), ("Next service", "118 h"), ("Log", "0472 saved"),
    ("Firmware", "3.2.1"), ("Battery", "87 %"),
)  # fmt: skip


def text(side: int) -> Floats:
    """A page of dark text on a light ground, as an instrument's settings screen shows it."""
    page = Image.new("RGB", (side, side), (232, 235, 238))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=15)
    draw.rectangle((0, 0, side, 29), fill=(38, 74, 122))
    for row in range(side // 20):
        ink = (245, 247, 250) if row == 0 else (28, 30, 34)
        name, value = ENTRIES[row % len(ENTRIES)]
        draw.text((16, 9 + 20 * row), name, fill=ink, font=font)
        draw.text((side - 16, 9 + 20 * row), value, fill=ink, font=font, anchor="ra")
    return np.asarray(page, np.float32)


# Thresholds: a nearly black screen needs more relative contrast (de Vries–Rose), edges and the deep
# stripes of a single primary mask what lies among them.
DISPLAYS = {
    "grey": Display(flat(128, 128, 128), 4.10, 0.22, 90, "both", 1.0),
    "white": Display(flat(255, 255, 255), 4.18, 0.40, 0, "dark", 1.0),
    "black": Display(flat(0, 0, 0), 4.06, 0.012, 200, "bright", 5.0),
    "red": Display(flat(255, 0, 0), 4.14, 0.32, 270, "dark", 1.6),
    "green": Display(flat(0, 255, 0), 4.07, 0.32, 135, "dark", 1.6),
    "blue": Display(flat(0, 0, 255), 4.21, 0.30, 90, "dark", 1.6),
    "gradient": Display(gradient, 4.12, 0.34, 180, "both", 1.2),
    "checker": Display(checker, 4.16, 0.34, 45, "dark", 2.5),
    "text": Display(text, 4.09, 0.36, 90, "dark", 2.0),
}


def display_of(category: str) -> Display:
    """The display model of a category. UserError: no such category."""
    if category not in DISPLAYS:
        raise UserError(
            f"unknown display category '{category}' of lcdsim: use one of {', '.join(CATEGORIES)}"
        )
    return DISPLAYS[category]


def content(display: Display, side: int) -> Floats:
    """Linear light of the pattern before unevenness, (side, side, 3)."""
    driven = (display.codes(side) / 255.0) ** GAMMA
    return np.asarray(LEAK + (1 - LEAK) * driven, np.float32)


def backlight(display: Display, side: int, rng: np.random.Generator) -> Floats:
    """The smooth unevenness of one panel, mean near 1, (side, side).

    The model's light guide makes a slope and a bow that all panels share; every panel adds its
    own low-order shape and faint clouds that stay below half a just-noticeable difference.
    Leaking light is far more uneven than transmitted light.
    """
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    angle = math.radians(display.edge_light)
    field = 0.035 * (math.cos(angle) * x + math.sin(angle) * y) - 0.03 * (x * x + y * y - 0.67)
    weight = rng.normal(0, 0.010, 5)
    for coefficient, shape in zip(weight, (x, y, x * y, x * x - 0.33, y * y - 0.33), strict=True):
        field += np.float32(coefficient) * shape
    clouds = rng.normal(0, 0.0025, (7, 7)).astype(np.float32)
    field += cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC)
    leaking = 3.0 if display.pixels_go == "bright" else 1.0
    return np.asarray(np.clip(1 + leaking * field, 0.3, 1.7), np.float32)


def coverage(low: float, high: float, samples: int) -> Floats:
    """How much of each of `samples` equal cells of [0, 1] lies between `low` and `high`."""
    edges = np.arange(samples + 1) / samples
    inside = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
    return np.asarray(inside * samples, np.float32)


def aperture() -> Floats:
    """Transmission of the black matrix over one pixel, (ROWS, COLUMNS, 3), mean 1 a channel."""
    rows = coverage(ROW_GAP / 2, 1 - ROW_GAP / 2, ROWS)
    stripes = [
        coverage(k / 3 + BLACK_MATRIX / 2, (k + 1) / 3 - BLACK_MATRIX / 2, COLUMNS)
        for k in range(3)
    ]
    cell = rows[:, None, None] * np.stack(stripes, axis=-1)[None]
    return np.asarray(cell / cell.mean(axis=(0, 1)), np.float32)


def emit(pattern: Floats, light: Floats, rng: np.random.Generator) -> Floats:
    """Light of a panel over its raster, (side · ROWS, side · COLUMNS, 3).

    pattern: linear light of the pattern (side, side, 3); light: its backlight (side, side).
    """
    side = len(pattern)
    stripes = 1 + PANEL_NOISE * rng.standard_normal(pattern.shape, dtype=np.float32)
    stripes = stripes * pattern * light[:, :, None]
    raster = cv2.resize(stripes, (side * COLUMNS, side * ROWS), interpolation=cv2.INTER_NEAREST)
    mask = np.tile(aperture(), (1, side, 1)).reshape(ROWS, -1)
    rows = raster.reshape(side, ROWS, side * COLUMNS * 3)
    np.multiply(rows, mask, out=rows)
    return np.asarray(raster, np.float32)
