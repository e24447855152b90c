"""The test set in motion: image, anomaly map and mask of one image after the other, as a GIF."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from blemish.evaluation.drawing import (
    Picture,
    Scale,
    colours,
    fitted,
    font,
    outlined,
    resized,
    with_zones,
)
from blemish.evaluation.predictions import Predictions
from blemish.evaluation.strips import read_views, said_of
from blemish.methods.zone_rules import above_threshold

SIDE = 200  # pixels of the square that a panel fits into
GAP, CAPTION = 8, 26
SIZE = (3 * SIDE + 4 * GAP, SIDE + 2 * CAPTION)
SECONDS = 1.2  # each image is shown
LARGEST = 2_000_000  # bytes of the file
INK, GREY, PAPER = (24, 24, 27), (95, 95, 105), (255, 255, 255)


def write_animation(
    predictions: Predictions, rows: pd.DataFrame, scale: Scale, file: Path, frames: int
) -> None:
    """Write up to `frames` of the images in `rows`, evenly spread, as a GIF.

    A frame shows the image, its anomaly map, and the mask of what lies above the map's threshold,
    the ground truth outlined. Where the file would exceed `LARGEST` bytes every other
    frame is dropped. Equal input gives equal bytes.

    Args:
        rows: of `scored_rows`, at least one.

    Raises:
        UserError: an image or a mask that cannot be read or does not fit.
    """
    chosen = np.linspace(0, len(rows) - 1, min(frames, len(rows))).round().astype(int)
    drawn = [_frame(predictions, rows.iloc[number], scale) for number in chosen]
    some = drawn[:: len(drawn) // 8 + 1]
    sample = Image.fromarray(np.vstack([np.asarray(frame) for frame in some]))
    palette = sample.quantize(255, Image.Quantize.MEDIANCUT)
    # Without dithering: it would move from frame to frame, and take most of the bytes.
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in drawn]
    _save(shown, file)
    while file.stat().st_size > LARGEST and len(shown) > 1:
        shown = shown[::2]
        _save(shown, file)


def _save(frames: list[Image.Image], file: Path) -> None:
    duration = round(1000 * SECONDS)
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=duration, loop=0)


def _frame(predictions: Predictions, row: pd.Series, scale: Scale) -> Image.Image:
    picture, anomaly_map, truth = read_views(predictions, row)
    small = fitted(picture, (SIDE, SIDE))
    small_map = resized(anomaly_map, (small.shape[1], small.shape[0]))
    zones = predictions.zone_map(row["position"])
    heat = colours(np.clip((small_map - scale.low) / (scale.high - scale.low), 0, 1))
    above = small_map > scale.map_threshold
    if zones:
        whole = above_threshold(anomaly_map, zones, scale.rules, scale.map_threshold)
        above = resized(whole.astype(np.float32), (small.shape[1], small.shape[0])) > 0.5
    mask = np.repeat(above[:, :, None] * np.uint8(255), 3, axis=2)
    heat, mask = with_zones(heat, zones), with_zones(mask, zones)
    return _composed([small, heat, outlined(mask, truth, None)], row, scale)


def _composed(panels: list[Picture], row: pd.Series, scale: Scale) -> Image.Image:
    frame = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(frame)
    score = said_of(row, "", scale.threshold)
    if "zone_alarms" not in row:
        score += ": alarm" if row["alarm"] else ""
    draw.text((GAP, 5), str(row["defect"])[:40], INK, font(14, bold=True))
    draw.text((SIZE[0] - GAP, 6), score, INK, font(13), anchor="ra")
    truth = "" if pd.isna(row["mask"]) else ", ground truth outlined"
    for column, text in enumerate(("image", "anomaly map", f"mask{truth}")):
        left = GAP + column * (SIDE + GAP)
        panel = Image.fromarray(panels[column])
        inside = ((SIDE - panel.width) // 2, (SIDE - panel.height) // 2)
        frame.paste(panel, (left + inside[0], CAPTION + inside[1]))
        draw.text((left, CAPTION + SIDE + 6), text, GREY, font(11))
    return frame
