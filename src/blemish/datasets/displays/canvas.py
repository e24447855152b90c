"""What a defect is drawn on, and what a drawn defect is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import View
from .display import COLUMNS, PITCH_MM, ROWS, Floats

ALL_CHANNELS = (0, 1, 2)


@dataclass(frozen=True)
class Shape:
    """Where a defect is, on a box of the panel's raster, before its contrast is chosen.

    signed: (h, w), peak magnitude 1; its sign is the defect's. footprint: (h, w) ≥ 0, what the
    mask is cut from, at `level` of its peak as the camera sees it. size: the dimension that decides
    detection, in camera pixels (diameter; stroke width of a line or scratch; body width).
    """

    rows: slice
    columns: slice
    signed: Floats
    footprint: Floats
    level: float
    size: float
    channels: tuple[int, ...] = ALL_CHANNELS
    driven: bool = False  # a fault of the pixels' electronics, not of a film or layer


@dataclass(frozen=True)
class Canvas:
    """The panel that a defect is drawn on. Lengths in display pixels."""

    view: View
    lit: NDArray[np.bool_]  # (side, side): pixels that emit enough light to show a defect
    channels: tuple[int, ...]  # channels that the pattern lights

    @property
    def centre(self) -> float:
        return self.view.side / 2

    @property
    def reach(self) -> float:
        """Half the side of the part that every pose shows."""
        return (self.view.size - 24) / self.view.display.camera_pixels / 2

    @property
    def pixel(self) -> float:
        """One camera pixel in display pixels."""
        return 1 / self.view.display.camera_pixels

    def place(self, rng: np.random.Generator, part: float = 0.94) -> tuple[float, float]:
        """A random visible position (x, y)."""
        x, y = self.centre + part * self.reach * rng.uniform(-1, 1, 2)
        return float(x), float(y)

    def box(self, x: float, y: float, half_x: float, half_y: float) -> tuple[slice, slice]:
        """Raster rows and columns of the box around a point, cut to the panel."""

        def span(middle: float, half: float, samples: int) -> slice:
            last = self.view.side * samples
            low = int(np.clip(np.floor((middle - half) * samples), 0, last - 1))
            return slice(low, int(np.clip(np.ceil((middle + half) * samples), low + 1, last)))

        return span(y, half_y, ROWS), span(x, half_x, COLUMNS)

    def offsets(self, rows: slice, columns: slice, x: float, y: float) -> tuple[Floats, Floats]:
        """Distances of a box's samples from a point, in camera pixels: dx (1, w), dy (h, 1)."""
        dx = (np.arange(columns.start, columns.stop) + 0.5) / COLUMNS - x
        dy = (np.arange(rows.start, rows.stop) + 0.5) / ROWS - y
        scale = self.view.display.camera_pixels
        return (dx * scale).astype(np.float32)[None, :], (dy * scale).astype(np.float32)[:, None]

    def inside(self, shape: Shape) -> NDArray[np.bool_]:
        """The samples of a shape's box that count as defective."""
        return np.asarray(shape.footprint > shape.level * shape.footprint.max())

    def area_mm2(self, shape: Shape) -> float:
        """Area of a shape's footprint above its level."""
        return int(self.inside(shape).sum()) / (ROWS * COLUMNS) * PITCH_MM**2

    def lit_part(self, shape: Shape) -> float:
        """How much of a shape's footprint lies on pixels that emit light."""
        rows = np.arange(shape.rows.start, shape.rows.stop) // ROWS
        columns = np.arange(shape.columns.start, shape.columns.stop) // COLUMNS
        inside = self.inside(shape)
        return float(self.lit[np.ix_(rows, columns)][inside].mean())
