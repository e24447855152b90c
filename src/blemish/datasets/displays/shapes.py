"""Five kinds of display defects as shapes, drawn in display space.

Kinds and sizes follow docs/spec/dlas-net.md §8.2, in camera pixels of a 1000-pixel picture; what
"cylinder" means in AnoLCD is unpublished: here it is a bubble or fibre under the film.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import ALL_CHANNELS, Canvas, Shape
from .display import COLUMNS, ROWS, SUBPIXEL, Floats


def smooth_step(x: NDArray[np.floating]) -> Floats:
    """1 / (1 + e^−x) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def spot(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """Dead or stuck pixels (a stripe, a pixel, a small cluster), or a particle's blob."""
    return pixel_cluster(canvas, rng) if rng.random() < 0.45 else blob(canvas, rng)


def pixel_cluster(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """1–6 neighbouring pixels, or one stripe of a pixel, that do not follow their signal."""
    count = int(rng.choice((1, 2, 3, 4, 6), p=(0.4, 0.2, 0.2, 0.12, 0.08)))
    signed = np.kron(grow(count, rng), np.ones((ROWS, COLUMNS), np.float32))
    x, y = (int(value) for value in canvas.place(rng))
    rows, columns = canvas.box(x + 0.5, y + 0.5, 3.5, 3.5)
    stripe = count == 1 and rng.random() < 0.3
    channels = (int(rng.choice(canvas.channels)),) if stripe else ALL_CHANNELS
    footprint = stripe_only(signed, columns.start, channels) if stripe else signed
    diameter = 2 * np.sqrt(count * (1 / 3 if stripe else 1) / np.pi) / canvas.pixel
    return Shape(rows, columns, signed, footprint, 0.5, float(diameter), channels, driven=True)


def grow(count: int, rng: np.random.Generator) -> Floats:
    """`count` cells that touch, a random walk from the middle of a 7 × 7 grid of zeros."""
    cells = np.zeros((7, 7), np.float32)
    at = np.array((3, 3))
    cells[3, 3] = 1
    while cells.sum() < count:
        at[rng.integers(2)] += rng.choice((-1, 1))
        at = np.clip(at, 1, 5)
        cells[at[0], at[1]] = 1
    return cells


def stripe_only(shape: Floats, first_column: int, channels: tuple[int, ...]) -> Floats:
    """A shape cut to the stripes of one channel: only there does the defect change light."""
    stripe = (np.arange(shape.shape[1]) + first_column) % COLUMNS // SUBPIXEL
    return np.asarray(shape * (stripe == channels[0]).astype(np.float32)[None, :], np.float32)


def blob(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """A particle between the layers: a soft, slightly irregular disc of radius 1.5–8 px."""
    radius = float(np.exp(rng.uniform(np.log(1.5), np.log(8))))
    x, y = canvas.place(rng)
    half = 2.2 * radius * canvas.pixel + 1
    rows, columns = canvas.box(x, y, half, half)
    dx, dy = canvas.offsets(rows, columns, x, y)
    angle = np.arctan2(dy, dx) - rng.uniform(0, 2 * np.pi)
    outline = (
        1
        + rng.uniform(0, 0.16) * np.cos(2 * angle)
        + rng.uniform(0, 0.08) * np.cos(3 * angle + rng.uniform(0, 2 * np.pi))
    )
    softness = rng.uniform(0.10, 0.25)
    signed = smooth_step((1 - np.hypot(dx, dy) / (radius * outline)) / softness)
    return Shape(rows, columns, signed / signed.max(), signed, 0.5, 2 * radius)


def line(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """A data line (column, often of one stripe only) or a gate line (row), whole or broken off."""
    vertical = rng.random() < 0.6
    width = 1 if rng.random() < 0.85 else 2
    stripe = vertical and width == 1 and rng.random() < 0.35
    channels = (int(rng.choice(canvas.channels)),) if stripe else ALL_CHANNELS
    position = int(canvas.centre + 0.94 * canvas.reach * rng.uniform(-1, 1))
    start, stop = 0, canvas.view.side
    if rng.random() < 0.4:
        cut = int(canvas.centre + 0.7 * canvas.reach * rng.uniform(-1, 1))
        start, stop = (cut, stop) if rng.random() < 0.5 else (start, cut)
    samples = COLUMNS if vertical else ROWS
    across = slice(position * samples, (position + width) * samples)
    along = slice(start * (ROWS if vertical else COLUMNS), stop * (ROWS if vertical else COLUMNS))
    drift = cv2.resize(
        rng.uniform(0.85, 1, (5, 1)).astype(np.float32),
        (1, along.stop - along.start),
        interpolation=cv2.INTER_LINEAR,
    )
    signed = np.repeat(drift / drift.max(), across.stop - across.start, axis=1)
    rows, columns = (along, across) if vertical else (across, along)
    signed = signed if vertical else np.ascontiguousarray(signed.T)
    footprint = stripe_only(signed, columns.start, channels) if stripe else signed
    size = (1 / 3 if stripe else width) / canvas.pixel
    return Shape(rows, columns, signed, footprint, 0.1, size, channels, driven=True)


def mura(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """A large smooth cloud, or a band across the panel; deviation 3–13 % of the picture's side."""
    side = canvas.view.side
    sigma = float(np.exp(rng.uniform(np.log(0.03), np.log(0.13)))) * canvas.view.size * canvas.pixel
    x, y = canvas.place(rng, 0.75)
    axis = np.arange(side, dtype=np.float32)
    dx, dy = axis[None, :] - x, axis[:, None] - y
    if rng.random() < 0.3:
        angle = rng.choice((0, np.pi / 2)) + rng.normal(0, 0.02)
        field = np.exp(-0.5 * ((dx * np.cos(angle) + dy * np.sin(angle)) / (0.6 * sigma)) ** 2)
    else:
        field = cloud(dx, dy, sigma, rng)
    raster = cv2.resize(field.astype(np.float32), (side * COLUMNS, side * ROWS))
    raster /= raster.max()
    rows, columns = slice(0, side * ROWS), slice(0, side * COLUMNS)
    return Shape(rows, columns, raster, raster, 0.5, 2.355 * sigma / canvas.pixel)


def cloud(dx: Floats, dy: Floats, sigma: float, rng: np.random.Generator) -> Floats:
    """A few overlapping Gaussians of unequal width: an irregular cloud around (0, 0)."""
    field = np.zeros((dy.shape[0], dx.shape[1]), np.float32)
    for _ in range(int(rng.integers(2, 6))):
        shift_x, shift_y = rng.normal(0, 0.7 * sigma, 2)
        wide, high = sigma * rng.uniform(0.5, 1.1, 2)
        weight = np.float32(rng.uniform(0.5, 1))
        bell_x = np.exp(-0.5 * ((dx - shift_x) / wide) ** 2)
        field += weight * bell_x * np.exp(-0.5 * ((dy - shift_y) / high) ** 2)
    return field


def scratch(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """A curved scratch in the polariser, 1–3 px wide, whose depth varies and skips."""
    length = min(float(np.exp(rng.uniform(np.log(70), np.log(420)))), 0.5 * canvas.view.size)
    width = rng.uniform(1, 3)
    x, y = canvas.place(rng, 0.8)
    path = bezier(length, rng)
    half = float(np.abs(path).max() * canvas.pixel) + 2
    rows, columns = canvas.box(x, y, half, half)
    dx, dy = canvas.offsets(rows, columns, x, y)
    t = np.linspace(0, 1, len(path))
    depth = np.interp(t, np.linspace(0, 1, 9), rng.uniform(0.15, 1, 9))
    depth *= np.minimum(1, 0.2 + 6 * np.minimum(t, 1 - t))
    signed = np.zeros((dy.shape[0], dx.shape[1]), np.float32)
    for (at_x, at_y), strength in zip(path, depth, strict=True):
        stamp(signed, dx[0], dy[:, 0], at_x, at_y, 0.42 * width, float(strength))
    signed /= signed.max()
    return Shape(rows, columns, signed, signed, 0.1, float(width))


def bezier(length: float, rng: np.random.Generator) -> Floats:
    """Points of a gently bent curve around (0, 0), one per 0.8 camera pixels, (n, 2)."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    normal = np.array([-along[1], along[0]])
    bend = rng.normal(0, 0.12, 2) * length
    ends = np.outer((-0.5, -0.17, 0.17, 0.5), along * length)
    ends[1:3] += np.outer(bend, normal)
    t = np.linspace(0, 1, max(8, int(length / 0.8)))[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return np.asarray(weights @ ends, np.float32)


def stamp(
    field: Floats, dx: Floats, dy: Floats, x: float, y: float, sigma: float, peak: float
) -> None:
    """Raise `field` to a Gaussian dot of `peak` at (x, y) where it is lower."""
    low_x, high_x = np.searchsorted(dx, (x - 3 * sigma, x + 3 * sigma))
    low_y, high_y = np.searchsorted(dy, (y - 3 * sigma, y + 3 * sigma))
    bell_x = np.exp(-0.5 * ((dx[low_x:high_x] - x) / sigma) ** 2)
    bell_y = np.exp(-0.5 * ((dy[low_y:high_y] - y) / sigma) ** 2)
    part = field[low_y:high_y, low_x:high_x]
    np.maximum(part, peak * bell_y[:, None] * bell_x[None, :], out=part)


def cylinder(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """A trapped bubble or fibre under the film: a body lit from one side and shaded on the other.

    The body is a capsule with a round cross-section; its slope towards the light makes the
    highlight and the shadow, its thickness a faint even tint.
    """
    width = rng.uniform(6, 18)
    length = width * float(np.exp(rng.uniform(0, np.log(7))))
    angle = rng.uniform(0, np.pi)
    light = angle + rng.choice((-0.5, 0.5)) * np.pi + rng.uniform(-0.9, 0.9)
    x, y = canvas.place(rng, 0.9)
    half = (0.5 * (length + width) + 4) * canvas.pixel
    rows, columns = canvas.box(x, y, half, half)
    dx, dy = canvas.offsets(rows, columns, x, y)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    bend = 0.15 * width * rng.uniform(-1, 1) * np.cos(np.pi * along / length)
    across = dy * np.cos(angle) - dx * np.sin(angle) + bend
    body = capsule(along, across, length, width)
    sigma = 0.9 * canvas.pixel  # edges are never sharper than a camera pixel
    softened = cv2.GaussianBlur(body, (0, 0), sigmaX=sigma * COLUMNS, sigmaY=sigma * ROWS)
    body = np.asarray(softened, np.float32)
    slope_y, slope_x = np.gradient(body, 1 / ROWS, 1 / COLUMNS)
    shade = slope_x * np.cos(light) + slope_y * np.sin(light)
    signed = shade / np.abs(shade).max() + rng.uniform(-0.25, 0.25) * body / body.max()
    if canvas.view.display.pixels_go == "bright":
        signed = np.clip(signed, 0, None)
    signed = np.asarray(signed / np.abs(signed).max(), np.float32)
    return Shape(rows, columns, signed, np.sqrt(body), 0.5, float(width))


def capsule(along: Floats, across: Floats, length: float, width: float) -> Floats:
    """Squared thickness, 0–1, of a round body with round ends, at coordinates along and across."""
    straight = 0.5 * (length - width)
    beyond = along - np.clip(along, -straight, straight)
    thickness = 1 - (np.hypot(beyond, across) / (0.5 * width)) ** 2
    return np.asarray(np.clip(thickness, 0, None), np.float32)


DRAW: dict[str, Callable[[Canvas, np.random.Generator], Shape]] = {
    "spot": spot, "line": line, "mura": mura, "scratch": scratch, "cylinder": cylinder,
}  # fmt: skip
