"""One strip of a test image: caption, image, anomaly map, outlines, and how to read them."""

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from blemish.evaluation.drawing import (
    ABOVE,
    TRUTH,
    Picture,
    Scale,
    colours,
    fitted,
    font,
    outlined,
    overlay,
    resized,
    with_zones,
)
from blemish.evaluation.predictions import Map, Mask, Predictions, read_mask
from blemish.images.reading import read_image
from blemish.methods.zone_rules import above_threshold, lowest_where_ignored

Colour = tuple[int, int, int]

_PANEL_WIDTH, _PANEL_HEIGHT = 280, 420  # largest sides of a panel in pixels
_MARGIN, _GAP = 12, 12
_LONG = 4  # times as wide as high: then panels lie below each other
_WIDTH = 3 * _PANEL_WIDTH + 2 * (_MARGIN + _GAP)
_CAPTION, _LEGEND = 54, 48  # heights above and below the panels
_INK, _GREY, _PAPER = (24, 24, 27), (95, 95, 105), (255, 255, 255)
_VERDICTS: dict[tuple[int, bool], tuple[str, Colour]] = {
    (1, False): ("Missed defect", (190, 30, 45)),
    (1, True): ("Defect found", (20, 120, 70)),
    (0, True): ("False alarm", (200, 95, 0)),
    (0, False): ("Good, no alarm", (20, 120, 70)),
}


def draw_strip(
    predictions: Predictions, row: pd.Series, standing: str, scale: Scale
) -> Image.Image:
    """Caption, panels side by side, and below them how to read each.

    Panels of long images lie below each other, as wide as the strip: side by side they would be a
    few pixels high.

    Args:
        row: a row of `scored_rows`.
        standing: where the image ranks, for the caption.

    Raises:
        UserError: the image or its mask cannot be read or does not fit.
    """
    picture, anomaly_map, truth = read_views(predictions, row)
    zones = predictions.zone_map(row["position"])
    above = above_threshold(anomaly_map, zones, scale.rules, scale.map_threshold)
    long = picture.shape[1] > _LONG * picture.shape[0]
    small = fitted(picture, (_WIDTH - 2 * _MARGIN if long else _PANEL_WIDTH, _PANEL_HEIGHT))
    height, width = small.shape[:2]
    heat = overlay(small, resized(anomaly_map, (width, height)), scale.low, scale.high)
    panels = [small, with_zones(heat, zones), outlined(with_zones(small, zones), truth, above)]
    strip = _composed(panels, row, standing, scale)
    legend = strip.height - _LEGEND + 8
    _write_outlines(ImageDraw.Draw(strip), _left(2), legend, truth, above)
    return strip


def read_views(predictions: Predictions, row: pd.Series) -> tuple[Picture, Map, Mask | None]:
    """The image (H, W, 3) of a row, its map (H, W), and its mask (H, W) if it has one.

    The map's lowest value stands where the image is ignored.
    """
    picture = read_image(predictions.root / row["image"])
    small_map = np.asarray(predictions.maps[row["position"]])
    anomaly_map = predictions.to_original(small_map, (picture.shape[0], picture.shape[1]))
    anomaly_map = lowest_where_ignored(anomaly_map, predictions.zone_map(row["position"]))
    return picture, anomaly_map, None if pd.isna(row["mask"]) else read_mask(predictions.root, row)


def said_of(row: pd.Series, word: str, threshold: float) -> str:
    """The score of an image and its decision; of zones, where they decide, which are alarms."""
    score, by_zone = f"score {row['score']:.4g}", row.get("zone_alarms")
    if isinstance(by_zone, str):
        return f"{score}, alarm: {by_zone}" if by_zone else f"{score}, no alarm"
    return f"{score} {'>' if row['alarm'] else '≤'}{word} {threshold:.4g}"


def _composed(panels: list[Picture], row: pd.Series, standing: str, scale: Scale) -> Image.Image:
    height, width = panels[0].shape[:2]
    if width > _PANEL_WIDTH:
        places = [(_MARGIN, _CAPTION + number * (height + _GAP)) for number in range(len(panels))]
    else:
        inside = (_PANEL_WIDTH - width) // 2
        places = [(_left(column) + inside, _CAPTION) for column in range(len(panels))]
    bottom = places[-1][1] + height
    strip = Image.new("RGB", (_WIDTH, bottom + _LEGEND), _PAPER)
    draw = ImageDraw.Draw(strip)
    _write_caption(draw, row, standing, scale.threshold)
    for place, panel in zip(places, panels, strict=True):
        strip.paste(Image.fromarray(panel), place)
    draw.text((_left(0), bottom + 8), f"image, {row['width']}×{row['height']} px", _GREY, font(12))
    _write_scale(strip, draw, _left(1), bottom + 8, scale)
    return strip


def _write_caption(
    draw: ImageDraw.ImageDraw, row: pd.Series, standing: str, threshold: float
) -> None:
    """Verdict, defect type and score; below, which image it is and where it stands."""
    verdict, colour = _VERDICTS[int(row["label"]), bool(row["alarm"])]
    kind = f"{row['defect']}  ·  " if row["label"] else ""
    numbers = f"{kind}{said_of(row, ' threshold', threshold)}"
    draw.text((_MARGIN, 8), verdict, colour, font(16, bold=True))
    draw.text((_WIDTH - _MARGIN, 9), numbers, _INK, font(15), anchor="ra")
    draw.text((_WIDTH - _MARGIN, 31), standing, _GREY, font(12), anchor="ra")
    room = _WIDTH - 2 * _MARGIN - _GAP - draw.textlength(standing, font(12))
    name = str(row["image"])
    while draw.textlength(name, font(12)) > room:
        name = "…" + name[2:]
    draw.text((_MARGIN, 31), name, _GREY, font(12))


def _write_scale(
    strip: Image.Image, draw: ImageDraw.ImageDraw, left: int, top: int, scale: Scale
) -> None:
    """Colour bar between the two ends of the scale, with a tick at the threshold."""
    low, high = f"{scale.low:.3g}", f"{scale.high:.3g}"
    start = left + round(draw.textlength(low, font(12))) + 6
    end = left + _PANEL_WIDTH - round(draw.textlength(high, font(12))) - 6
    bar = colours(np.tile(np.linspace(0, 1, end - start, dtype=np.float32), (10, 1)))
    draw.text((left, top), low, _GREY, font(12))
    strip.paste(Image.fromarray(bar), (start, top + 3))
    draw.text((end + 6, top), high, _GREY, font(12))
    place = (scale.map_threshold - scale.low) / (scale.high - scale.low)
    if 0 <= place <= 1 and not scale.rules:  # of zones each has its own
        tick = start + round(place * (end - start - 1))
        draw.line((tick, top, tick, top + 15), ABOVE, 2)
    draw.text((left, top + 18), "anomaly map, one scale for the whole run", _GREY, font(12))


def _write_outlines(
    draw: ImageDraw.ImageDraw, left: int, top: int, truth: Mask | None, above: Mask
) -> None:
    """Legend of the outlines, which says so where there is nothing to outline."""
    for mask, colour, text in (
        (truth, TRUTH, "ground truth"),
        (above, ABOVE, "map above threshold"),
    ):
        if mask is None:
            continue
        draw.line((left, top + 8, left + 20, top + 8), colour, 3)
        draw.text((left + 26, top), text + ("" if mask.any() else ": nowhere"), _GREY, font(12))
        top += 18


def _left(column: int) -> int:
    return _MARGIN + column * (_PANEL_WIDTH + _GAP)
