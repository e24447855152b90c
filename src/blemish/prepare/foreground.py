"""Where on a normal image the part is: synthetic defects belong there and not on the background.

The published GLASS reads foreground masks that its authors binarised by an unpublished rule; this
is ours. The frame of the image is taken for background; what differs from it is the part.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.datasets.dataset import images_in
from blemish.images.manifest import Row
from blemish.images.masks import read_mask
from blemish.images.reading import read_image
from blemish.prepare.masks import write_mask

Mask = NDArray[np.bool_]

FOREGROUNDS = Path("data/foreground")  # hand-made masks, <unit>/<image stem>.png

WORKING_SIDE = 384  # pixels; finer detail does not help to tell part from background
FRAME = 0.02  # share of the shorter side that is taken for background
LEAST_SPREAD = 2.0  # Lab units; below this a background is as even as a camera can make it
LEAST_DIFFERENCE = 4.0  # background deviations between part and frame; else there is no background
SMALLEST = 0.05  # share of the largest region; smaller ones are dust
SHEET = 24  # images of the contact sheet
TILE = 160  # pixels a side of one of them


def foreground_mask(image: NDArray[np.uint8]) -> Mask:
    """The part on an image (H, W, 3): bool (H, W), all True where there is no background.

    The colour of the frame, in Lab, is the background; Otsu's threshold divides the distances to
    it; holes are filled, dust is dropped. An image whose part and background would differ too
    little, such as a texture that fills it, is all part.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    distance = _distance_to_frame(np.asarray(small, np.uint8))
    levels = np.clip(distance / max(float(np.quantile(distance, 0.995)), 1e-6), 0, 1)
    _, above = cv2.threshold(
        (levels * 255).astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    part = _cleaned(above)
    inside = distance[part]
    if not part.any() or np.median(inside) - np.median(distance[~part]) < LEAST_DIFFERENCE:
        return np.ones((height, width), bool)
    whole = cv2.resize(part.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole > 0.5)


def _distance_to_frame(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How many deviations each pixel's colour is from the frame's, (h, w).

    The frame's colour may change evenly over the image, as uneven light makes it: a plane is
    fitted to each channel, thrice, each time without what lies far off it.
    """
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1)
    height, width = small.shape[:2]
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    places = np.stack([np.ones_like(xs), xs, ys], axis=-1)
    frame = max(1, round(FRAME * min(height, width)))
    border = np.ones((height, width), bool)
    border[frame:-frame, frame:-frame] = False
    near = border
    for _ in range(3):
        plane, *_ = np.linalg.lstsq(places[near], lab[near], rcond=None)
        residual = np.abs(lab - places @ plane)
        # A normal distribution's deviation from the quantile that a part reaching over a fifth
        # of the frame leaves alone; a texture's long tail makes it large.
        spread = np.maximum(np.quantile(residual[border], 0.8, axis=0) / 1.28, LEAST_SPREAD)
        distance = np.linalg.norm(residual / spread, axis=2)
        near = border & (distance <= max(3.0, float(np.median(distance[border]))))
    return np.asarray(distance, np.float32)


def _cleaned(above: NDArray[np.uint8]) -> Mask:
    """Without dust and holes, and with a margin of a pixel so that the rim belongs to the part."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = cv2.morphologyEx(above, cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel)
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    kept = [
        outline
        for outline, area in zip(outlines, areas, strict=True)
        if area >= SMALLEST * max(areas)
    ]
    filled = np.zeros_like(above)
    cv2.drawContours(filled, kept, -1, (1,), cv2.FILLED)
    return cv2.dilate(filled, kernel).astype(bool)


def read_foreground(path: Path, size: tuple[int, int]) -> Mask:
    """A hand-made mask: the part is what is not black. Raises UserError if it does not fit."""
    mask = read_mask(path)
    if mask.shape != size:
        raise UserError(
            f"{path}: the foreground mask is {mask.shape[1]}×{mask.shape[0]} but its image is "
            f"{size[1]}×{size[0]}: give both the same size"
        )
    if not mask.any():
        raise UserError(f"{path}: the foreground mask is empty: mark the part with white")
    return mask


def add_foregrounds(rows: Sequence[Row], folder: Path, hand_made: Path) -> None:
    """Write `foreground/<stem>.png` for each normal of train and val, name it in its row, and
    draw the contact sheet `foreground.png`.

    A mask in `hand_made` with an image's stem takes the place of ours. Raises UserError naming
    one that fits no image, or whose size is wrong.
    """
    normals = [row for row in rows if row["split"] != "test" and not row["label"]]
    given = {file.stem: file for file in images_in(hand_made)}
    unknown = given.keys() - {Path(row["image"]).stem for row in normals}
    if unknown:
        raise UserError(
            f"{given[min(unknown)]}: no training normal has the name {min(unknown)}: name each "
            "foreground mask as its image"
        )

    def make(row: Row) -> Path:
        image = folder / row["image"]
        file = given.get(image.stem)
        size = (row["height"], row["width"])
        mask = read_foreground(file, size) if file else foreground_mask(read_image(image))
        target = Path("foreground") / f"{image.stem}.png"
        write_mask(mask, folder / target)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        masks = list(progress(pool.map(make, normals), "foregrounds", len(normals), "image"))
    for row, mask in zip(normals, masks, strict=True):
        row["foreground"] = mask.as_posix()
    images = [folder / row["image"] for row in normals]
    pairs = list(zip(images, (folder / mask for mask in masks), strict=True))
    write_foreground_sheet(pairs, folder / "foreground.png")


def write_foreground_sheet(pairs: Sequence[tuple[Path, Path]], path: Path) -> None:
    """A contact sheet of (image, mask) files: the part in colour and outlined, the rest dark."""
    step = max(1, len(pairs) // SHEET)
    chosen = pairs[::step][:SHEET]
    columns = min(6, len(chosen))
    rows = -(-len(chosen) // columns)
    sheet = Image.new("RGB", (columns * (TILE + 4) + 4, rows * (TILE + 4) + 4), (255, 255, 255))
    for number, (image, mask) in enumerate(chosen):
        tile = _outlined(read_image(image), read_mask(mask))
        row, column = divmod(number, columns)
        sheet.paste(tile, (4 + column * (TILE + 4), 4 + row * (TILE + 4)))
    sheet.save(path)


def _outlined(image: NDArray[np.uint8], mask: Mask) -> Image.Image:
    scale = TILE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    part = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small = np.where(part[:, :, None] > 0, small, small // 3)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(small, outlines, -1, (255, 20, 140), 1)
    return Image.fromarray(small.astype(np.uint8))
