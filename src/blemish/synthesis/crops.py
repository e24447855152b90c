"""Crops of real defects: a user's pictures made ready to be pasted."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from blemish.core.errors import UserError
from blemish.images.reading import DAMAGED, read_image

CROPS = "crops.csv"
LARGEST = 1024  # pixels of a crop's longer side; larger ones are reduced
WIDEST = 0.8  # of the unit's shorter image side
SAME_COLOUR = 10  # levels a background pixel may differ from the corners
Picture = NDArray[np.uint8]


def prepare_crops(files: Sequence[Path], shorter_side: float, folder: Path) -> list[str]:
    """Write each crop as RGBA with a feathered alpha, and CROPS; return the names.

    What is defect says the alpha channel; without one, all but the background: pixels of the
    colour that the four corners share, connected to the border. Where the corners differ, the
    whole crop is defect. `extent` is the longer side as a share of `shorter_side`, the shorter
    side in pixels of the unit's images. Raises UserError naming a file that is no image or
    shows no defect.
    """
    folder.mkdir()
    rows = []
    for number, file in enumerate(files):
        colours, inside = _read(file)
        if not inside.any():
            raise UserError(f"{file}: the whole crop is background: leave a defect visible in it")
        ys, xs = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
        box = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        crop = _feathered(colours[box], inside[box])
        extent = min(WIDEST, max(crop.shape[:2]) / shorter_side)
        name = f"{number:04d}.png"
        Image.fromarray(_reduced(crop)).save(folder / name)
        rows.append({"file": name, "extent": extent})
    pd.DataFrame(rows).to_csv(folder / CROPS, index=False)
    return [row["file"] for row in rows]


def read_extents(folder: Path) -> dict[str, float]:
    """The extent of each prepared crop by its name."""
    try:
        return dict(pd.read_csv(folder / CROPS).set_index("file")["extent"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder / CROPS}: {error}: synthesize the unit again") from None


def read_crop(path: Path) -> Picture:
    """A prepared crop, uint8 (h, w, 4)."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGBA"))
    except DAMAGED as error:
        raise UserError(f"{path}: not a whole image ({error}): synthesize the unit again") from None


def _read(path: Path) -> tuple[Picture, NDArray[np.bool_]]:
    """Colours (h, w, 3) and where the defect is (h, w)."""
    colours = read_image(path)  # names a damaged file
    with Image.open(path) as image:
        if image.has_transparency_data:
            upright = ImageOps.exif_transpose(image).convert("RGBA")
            return colours, np.asarray(upright)[:, :, 3] > 127
    return colours, ~_background(colours)


def _background(colours: Picture) -> NDArray[np.bool_]:
    """Pixels of the corners' common colour that are connected to the border."""
    corners = colours[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    if np.ptp(corners, axis=0).max() > SAME_COLOUR:
        return np.zeros(colours.shape[:2], bool)
    distance = np.abs(colours.astype(int) - corners.mean(axis=0)).max(axis=2)
    alike = np.pad((distance <= SAME_COLOUR).astype(np.uint8), 1, constant_values=1)
    _, parts = cv2.connectedComponents(alike, connectivity=4)
    return np.asarray(parts == parts[0, 0])[1:-1, 1:-1]


def _feathered(colours: Picture, inside: NDArray[np.bool_]) -> Picture:
    """Alpha rises over a twelfth of the crop's shorter side from the defect's edge inwards.

    Colours outside are those of the nearest defect pixel, so that no background bleeds in.
    """
    padded = np.pad(inside.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    feather = max(1.0, min(min(inside.shape) / 12, float(depth.max()) / 2))
    alpha = np.clip(depth / feather, 0, 1)
    _, nearest = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros((nearest.max() + 1, 3), np.uint8)
    owner[nearest[inside]] = colours[inside]
    filled = np.where(inside[:, :, None], colours, owner[nearest])
    # A transparent edge, so that turning the crop mixes its colours with none but its own.
    edge = ((1, 1), (1, 1))
    opacity = np.pad(np.round(alpha * 255).astype(np.uint8), edge)
    return np.dstack((np.pad(filled, (*edge, (0, 0)), mode="edge"), opacity))


def _reduced(crop: Picture) -> Picture:
    scale = LARGEST / max(crop.shape[:2])
    if scale >= 1:
        return crop
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
