"""Masks as labelling tools save them: JPEG, anti-aliased, resized, classes, palettes, alpha."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.images.reading import open_image

Mask = NDArray[np.bool_]
Values = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
FEW = 16  # more values than this are not drawn but come of smoothing or of lossy compression
NOISE = 0.12  # of the range between the darkest and the brightest value
OPAQUE = 127
VOID = 255  # PASCAL VOC's palette index of pixels that nobody labelled

# What was done with a mask, as the notes of a unit say it.
SAID = {
    "soft": "soft or noisy edges: what is above the middle between their darkest and brightest "
    "value counts as defective",
    "classes": "several values: each of them above the background counts as defective",
    "alpha": "a transparent part: what is opaque counts as defective",
    "nothing": "no defective pixel, though their images count as defective",
    "all": "no normal pixel: all of the image counts as defective",
}


class ReadMask(NamedTuple):
    """A mask (H, W), True where defective, and which of `SAID` apply to how it was read."""

    mask: Mask
    how: tuple[str, ...] = ()


def read_mask(path: Path, threshold: int | None = None) -> Mask:
    """A mask as bool (H, W): True where any channel exceeds `threshold`; without one, by what the
    file holds, see `interpret_mask`. Raises UserError naming a damaged file."""
    return interpret_mask(path, threshold).mask


def interpret_mask(path: Path, threshold: int | None = None) -> ReadMask:
    """As `read_mask`, and what was done to the mask.

    Two values are background and defect. Of more, those that lie between a darker and a brighter
    neighbour are soft edges, and the middle divides; else they are classes, and all of them are
    defects. A palette's indices count, not its colours; a mask may be drawn in its alpha channel.
    """
    values, drawn_in_alpha = _values(open_image(path).image)
    if threshold is not None:
        return ReadMask(values > threshold)
    mask, how = binarise(values)
    said = [*(["alpha"] if drawn_in_alpha else []), *([how] if how else [])]
    if mask.all() or not mask.any():
        said.append("all" if mask.any() else "nothing")
    return ReadMask(mask, tuple(said))


def _values(image: Image.Image) -> tuple[Values, bool]:
    """One number a pixel (H, W), and whether it is the opacity."""
    if image.mode == "P":
        indices = np.array(image)
        if ((indices > 0) & (indices < VOID)).any():
            indices[indices == VOID] = 0
        return indices, False
    if image.mode in {"1", "L"}:
        return np.asarray(image.convert("L")), False
    if image.mode in {"F", "I"} or image.mode.startswith("I;16"):
        return np.asarray(image, np.float32), False
    if "A" in image.mode or "a" in image.mode:
        rgba = np.asarray(image.convert("RGBA"))
        colour, alpha = rgba[:, :, :3].max(axis=2), rgba[:, :, 3]
        opaque = alpha > OPAQUE
        if not opaque.all():
            inside = colour[opaque] > OPAQUE
            # Drawn on a background that is only partly opaque, or itself the opaque part.
            drawn = inside.any() and not inside.all()
            return (np.where(opaque, colour, 0), False) if drawn else (alpha, True)
        return colour, False
    return np.asarray(image.convert("RGB")).max(axis=2), False


def binarise(values: Values) -> tuple[Mask, str]:
    """True where defective, and "soft" or "classes" where the values (H, W) had to be read so."""
    levels = _levels(values)
    low, high = float(levels[0]), float(levels[-1])
    if len(levels) < 3:
        return values > (low if len(levels) == 2 else 0), ""
    exact = values.astype(np.float32)
    margin = NOISE * (high - low)
    between = (exact > low + margin) & (exact < high - margin)
    drawn = _is_flat(exact, low, margin)
    if between.any():
        soft = _are_edges(exact, between, margin if len(levels) > FEW else 0.0)
    else:
        soft = not drawn
    if soft:
        return exact > (low + high) / 2, "soft"
    return exact > low + (0.0 if drawn else margin), "classes"


def _are_edges(exact: NDArray[np.float32], between: Mask, noise: float) -> bool:
    """Whether most pixels `between` background and peak have darker and brighter neighbours."""
    around = np.ones((9, 9) if noise else (3, 3), np.uint8)
    edges = cv2.erode(exact, around) < exact - noise
    edges &= cv2.dilate(exact, around) > exact + noise
    return bool(2 * np.count_nonzero(between & edges) >= np.count_nonzero(between))


def _levels(values: Values) -> NDArray[np.generic]:
    """The distinct values, ascending."""
    if values.dtype == np.uint8:  # counting is faster than sorting
        return np.flatnonzero(np.bincount(values.ravel(), minlength=256)).astype(np.uint8)
    return np.unique(values)


def _is_flat(values: NDArray[np.float32], low: float, margin: float) -> bool:
    """Whether the values just above the background are areas that were drawn, rather than noise."""
    near = (values > low) & (values <= low + margin)
    kernel = np.ones((3, 3), np.uint8)
    flat = cv2.erode(values, kernel) == cv2.dilate(values, kernel)
    return bool(np.count_nonzero(near & flat) >= 0.3 * np.count_nonzero(near))


def mask_notes(read: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """A line for each thing that was done to masks, from (the mask's name, which of `SAID`)."""
    named: defaultdict[str, list[str]] = defaultdict(list)
    for name, said in read:
        for what in said:
            named[what].append(name)
    return [
        f"{len(named[what])} mask(s) with {text}, e.g. {named[what][0]}."
        for what, text in SAID.items()
        if what in named
    ]
