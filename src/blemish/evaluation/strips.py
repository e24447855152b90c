"""One strip of a test image: caption, image, anomaly map, outlines, and how to read them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blemish.data.images import read_image
from blemish.evaluation.predictions import Map, Mask, Predictions, read_mask

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

_PANEL_WIDTH, _PANEL_HEIGHT = 280, 420  # largest sides of a panel in pixels
_MARGIN, _GAP = 12, 12
_WIDTH = 3 * _PANEL_WIDTH + 2 * (_MARGIN + _GAP)
_CAPTION, _LEGEND = 54, 48  # heights above and below the panels
_INK, _GREY, _PAPER = (24, 24, 27), (95, 95, 105), (255, 255, 255)
# Apart for colour-blind eyes too, and neither is in the colour map or usual in the images.
_TRUTH, _ABOVE = (0, 165, 255), (255, 20, 140)
_VERDICTS: dict[tuple[int, bool], tuple[str, Colour]] = {
    (1, False): ("Missed defect", (190, 30, 45)),
    (1, True): ("Defect found", (20, 120, 70)),
    (0, True): ("False alarm", (200, 95, 0)),
    (0, False): ("Good, no alarm", (20, 120, 70)),
}


@dataclass(frozen=True)
class Scale:
    """What all strips of a run share, so that they can be compared."""

    low: float
    high: float
    threshold: float
    on_map: bool  # whether scores are in the map's units, so that the threshold holds there too


def draw_strip(
    predictions: Predictions, row: pd.Series, standing: str, scale: Scale
) -> Image.Image:
    """Caption, panels side by side, and under each panel how to read it.

    Args:
        row: a manifest row, with its `score` and its `position` in the predictions.
        standing: where the image ranks, for the caption.

    Raises:
        UserError: the image or its mask cannot be read or does not fit.
    """
    picture = read_image(predictions.root / row["image"])
    height, width = picture.shape[:2]
    small_map = np.asarray(predictions.maps[row["position"]])
    anomaly_map = predictions.to_original(small_map, (height, width))
    shrink = min(_PANEL_WIDTH / width, _PANEL_HEIGHT / height)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    truth = None if pd.isna(row["mask"]) else read_mask(predictions.root, row)
    above = anomaly_map > scale.threshold if scale.on_map else None
    small = _resized(picture, size)
    panels = [small, _overlay(small, _resized(anomaly_map.astype(np.float32), size), scale)]
    if truth is not None or above is not None:
        panels.append(_outlined(small, truth, above))
    strip = _composed(panels, row, standing, scale)
    if len(panels) > 2:
        legend = _CAPTION + size[1] + 8
        _write_outlines(ImageDraw.Draw(strip), _left(2), legend, truth, above)
    return strip


def _composed(panels: list[Picture], row: pd.Series, standing: str, scale: Scale) -> Image.Image:
    bottom = _CAPTION + panels[0].shape[0]
    strip = Image.new("RGB", (_WIDTH, bottom + _LEGEND), _PAPER)
    draw = ImageDraw.Draw(strip)
    _write_caption(draw, row, standing, scale.threshold)
    for column, panel in enumerate(panels):
        left = _left(column) + (_PANEL_WIDTH - panel.shape[1]) // 2
        strip.paste(Image.fromarray(panel), (left, _CAPTION))
    draw.text((_left(0), bottom + 8), f"image, {row['width']}×{row['height']} px", _GREY, _font(12))
    _write_scale(strip, draw, _left(1), bottom + 8, scale)
    return strip


def _write_caption(
    draw: ImageDraw.ImageDraw, row: pd.Series, standing: str, threshold: float
) -> None:
    """Verdict, defect type and score; below, which image it is and where it stands."""
    alarm = bool(row["score"] > threshold)
    verdict, colour = _VERDICTS[int(row["label"]), alarm]
    kind = f"{row['defect']}  ·  " if row["label"] else ""
    numbers = f"{kind}score {row['score']:.4g} {'>' if alarm else '≤'} threshold {threshold:.4g}"
    draw.text((_MARGIN, 8), verdict, colour, _font(16, bold=True))
    draw.text((_WIDTH - _MARGIN, 9), numbers, _INK, _font(15), anchor="ra")
    draw.text((_WIDTH - _MARGIN, 31), standing, _GREY, _font(12), anchor="ra")
    room = _WIDTH - 2 * _MARGIN - _GAP - draw.textlength(standing, _font(12))
    name = str(row["image"])
    while draw.textlength(name, _font(12)) > room:
        name = "…" + name[2:]
    draw.text((_MARGIN, 31), name, _GREY, _font(12))


def _write_scale(
    strip: Image.Image, draw: ImageDraw.ImageDraw, left: int, top: int, scale: Scale
) -> None:
    """Colour bar between the two ends of the scale, with a tick at the threshold."""
    low, high = f"{scale.low:.3g}", f"{scale.high:.3g}"
    start = left + round(draw.textlength(low, _font(12))) + 6
    end = left + _PANEL_WIDTH - round(draw.textlength(high, _font(12))) - 6
    bar = _colours(np.tile(np.linspace(0, 1, end - start, dtype=np.float32), (10, 1)))
    draw.text((left, top), low, _GREY, _font(12))
    strip.paste(Image.fromarray(bar), (start, top + 3))
    draw.text((end + 6, top), high, _GREY, _font(12))
    place = (scale.threshold - scale.low) / (scale.high - scale.low)
    if scale.on_map and 0 <= place <= 1:
        tick = start + round(place * (end - start - 1))
        draw.line((tick, top, tick, top + 15), _ABOVE, 2)
    draw.text((left, top + 18), "anomaly map, one scale for the whole run", _GREY, _font(12))


def _write_outlines(
    draw: ImageDraw.ImageDraw, left: int, top: int, truth: Mask | None, above: Mask | None
) -> None:
    """Legend of the outlines, which says so where there is nothing to outline."""
    for mask, colour, text in (
        (truth, _TRUTH, "ground truth"),
        (above, _ABOVE, "map above threshold"),
    ):
        if mask is None:
            continue
        draw.line((left, top + 8, left + 20, top + 8), colour, 3)
        draw.text((left + 26, top), text + ("" if mask.any() else ": nowhere"), _GREY, _font(12))
        top += 18


def _left(column: int) -> int:
    return _MARGIN + column * (_PANEL_WIDTH + _GAP)


def _resized(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(h, w, …) at `size` = (width, height): averaged when it shrinks, interpolated when not."""
    shrinks = size[0] <= values.shape[1]
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _colours(values: NDArray[np.float32]) -> Picture:
    """(h, w) values in [0, 1] in matplotlib's inferno, in which equal steps look equal."""
    return np.asarray(matplotlib.colormaps["inferno"](values, bytes=True)[..., :3])


def _overlay(picture: Picture, anomaly_map: Map, scale: Scale) -> Picture:
    value = np.clip((anomaly_map - scale.low) / (scale.high - scale.low), 0, 1)
    return np.asarray(np.rint(0.4 * picture + 0.6 * _colours(value)), np.uint8)


def _outlined(picture: Picture, truth: Mask | None, above: Mask | None) -> Picture:
    """The picture with lines around the masks; the truth's keep a distance and hide no defect."""
    drawn = picture.copy()
    for mask, colour, distance in ((above, _ABOVE, 0), (truth, _TRUTH, 3)):
        if mask is None:
            continue
        covered = _resized(mask.astype(np.float32), (picture.shape[1], picture.shape[0])) > 0
        kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
        wider = cv2.dilate(covered.astype(np.uint8), kernel)
        contours, _ = cv2.findContours(wider, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(drawn, contours, True, colour, 2, cv2.LINE_AA)
    return drawn


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's own files: the same letters on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
