"""How visible a defect is, what it does to the light, and its mask.

A defect changes light by the factor 1 + contrast · shape, so `contrast` is its peak Weber contrast
ΔL/L against the light that would be there; on a black screen that light is the leak, and the
defect adds to it. One law decides how strong that is: SEMI's SEMU threshold of a just-noticeable
difference for the defect's area, raised by what the pattern masks, times a drawn number of such
differences.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Shape
from .display import COLUMNS, ROWS, Floats
from .shapes import DRAW

Polarity = Literal["bright", "dark", "mixed"]

# Just-noticeable differences a defect is worth, from barely visible to clear, drawn log-uniformly.
VISIBILITY = {
    "spot": (1.5, 12.0),
    "line": (1.5, 10.0),
    "mura": (2.0, 7.0),
    "scratch": (2.5, 18.0),
    "cylinder": (2.5, 14.0),
}
DARKEST = -0.97  # a dead pixel still passes some light of its neighbours
LEAST_LIT = 0.35  # a defect of which less lies on lit pixels is drawn elsewhere
LEAST_MASK = 4  # camera pixels


def just_noticeable(area: float) -> float:
    """The Weber contrast that is just noticeable for an area in mm², as a part (SEMI SEMU)."""
    return float((1.97 / area**0.33 + 0.72) / 100)


@dataclass(frozen=True)
class Defect:
    """A shape with its strength.

    weber: peak ΔL/L with its sign; differences: how many just-noticeable differences that is.
    """

    kind: str
    shape: Shape
    mask: NDArray[np.uint8]  # (size, size), 0 or 255
    weber: float
    differences: float

    @property
    def polarity(self) -> Polarity:
        if self.shape.signed.min() < -0.2:
            return "mixed"
        return "bright" if self.weber > 0 else "dark"

    def apply(self, raster: Floats) -> None:
        """Change a panel's light, (side · ROWS, side · COLUMNS, 3), in place."""
        factor = np.maximum(1 + np.float32(self.weber) * self.shape.signed, 0)
        for channel in self.shape.channels:
            raster[self.shape.rows, self.shape.columns, channel] *= factor


def draw_defect(kind: str, canvas: Canvas, rng: np.random.Generator, contrast: float) -> Defect:
    """Draw one defect that the camera can see. `contrast` multiplies its visibility only."""
    while True:
        shape = DRAW[kind](canvas, rng)
        if canvas.lit_part(shape) < LEAST_LIT:
            continue
        mask = mask_of(shape, canvas)
        if np.count_nonzero(mask) >= LEAST_MASK:
            break
    low, high = VISIBILITY[kind]
    differences = contrast * float(np.exp(rng.uniform(np.log(low), np.log(high))))
    display = canvas.view.display
    weber = differences * display.threshold * just_noticeable(canvas.area_mm2(shape))
    bright = rng.random() < 0.5
    if display.pixels_go == "bright" or (shape.driven and display.pixels_go != "both"):
        bright = display.pixels_go == "bright"
    return Defect(kind, shape, mask, weber if bright else max(-weber, DARKEST), differences)


def mask_of(shape: Shape, canvas: Canvas) -> NDArray[np.uint8]:
    """The camera's view of a footprint, cut at its level: (size, size), 0 or 255."""
    side = canvas.view.side
    raster = np.zeros((side * ROWS, side * COLUMNS), np.float32)
    raster[shape.rows, shape.columns] = shape.footprint
    projection = canvas.view.project(raster)
    level = shape.level * max(float(projection.max()), 1e-6)
    return np.where(projection > level, 255, 0).astype(np.uint8)
