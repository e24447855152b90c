"""What pictures of results are drawn with: colours of a map, outlines of masks, letters."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from blemish.images.zones import IGNORED, ZoneMap
from blemish.methods.zone_rules import ZoneRule

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]
Number = TypeVar("Number", np.uint8, np.float32)

# Apart for colour-blind eyes too, and neither is in the colour map or usual in the images.
TRUTH, ABOVE = (0, 165, 255), (255, 20, 140)
BORDER = (225, 225, 225)  # of zones


@dataclass(frozen=True)
class Scale:
    """What all pictures of a run share, so that they can be compared.

    The colours of maps span `low` to `high`; `threshold` is that of image scores. Where zones with
    names decide, `rules` are theirs.
    """

    low: float
    high: float
    threshold: float
    map_threshold: float
    rules: tuple[ZoneRule, ...] = ()


def resized(values: NDArray[Number], size: tuple[int, int]) -> NDArray[Number]:
    """(h, w, …) at `size` = (width, height): averaged when it shrinks, interpolated when not."""
    method = cv2.INTER_AREA if size[0] <= values.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=method), values.dtype)


def fitted(picture: Picture, bounds: tuple[int, int]) -> Picture:
    """The picture (H, W, 3) as large as a width and a height allow."""
    height, width = picture.shape[:2]
    shrink = min(bounds[0] / width, bounds[1] / height)
    return resized(picture, (max(1, round(width * shrink)), max(1, round(height * shrink))))


def colours(values: NDArray[np.float32]) -> Picture:
    """(h, w) values in [0, 1] in matplotlib's inferno, in which equal steps look equal."""
    return np.asarray(matplotlib.colormaps["inferno"](values, bytes=True)[..., :3])


def overlay(picture: Picture, anomaly_map: Map, low: float, high: float) -> Picture:
    """The picture (h, w, 3) below the colours of its map (h, w), which span `low` to `high`."""
    value = np.clip((anomaly_map - low) / (high - low), 0, 1)
    return np.asarray(np.rint(0.4 * picture + 0.6 * colours(value)), np.uint8)


def outlined(picture: Picture, truth: Mask | None, above: Mask | None) -> Picture:
    """The picture with lines around the masks; the truth's keep a distance and hide no defect."""
    drawn = picture.copy()
    for mask, colour, distance in ((above, ABOVE, 0), (truth, TRUTH, 3)):
        if mask is None:
            continue
        covered = resized(mask.astype(np.float32), (picture.shape[1], picture.shape[0])) > 0
        kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
        wider = cv2.dilate(covered.astype(np.uint8), kernel)
        contours, _ = cv2.findContours(wider, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(drawn, contours, True, colour, 2, cv2.LINE_AA)
    return drawn


def with_zones(picture: Picture, zones: ZoneMap | None) -> Picture:
    """The picture (h, w, 3) with what is ignored hatched in grey, and thin lines around zones."""
    if zones is None:
        return picture
    height, width = picture.shape[:2]
    index = cv2.resize(zones.index, (width, height), interpolation=cv2.INTER_NEAREST)
    ys, xs = np.indices(index.shape)
    step = max(4, min(height, width) // 60)
    hatch = np.where(((xs + ys) // step) % 2, np.uint8(120), np.uint8(160))[:, :, None]
    drawn = np.where((index == IGNORED)[:, :, None], hatch, picture).astype(np.uint8)
    border = np.zeros(index.shape, bool)
    border[:, 1:] |= index[:, 1:] != index[:, :-1]
    border[1:] |= index[1:] != index[:-1]
    drawn[border] = BORDER
    return drawn


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's own files: the same letters on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
