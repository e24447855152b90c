"""Regions of an anomaly map above a threshold, as polygons that a person can edit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from blemish.images.zones import ZoneMap
from blemish.methods.zone_rules import ZoneRule

MIDDLE = 0.5  # of a pixel, where its corner is at a whole number
LIKENESS = 0.95  # least intersection over union of a polygon's pixels and its region's


@dataclass(frozen=True)
class Region:
    """A connected region.

    points: its outer outline (N ≥ 3, 2), x and y, through the centres of its outermost pixels; the
    upper left pixel covers 0 to 1 in both. score: the map's maximum in it. area: in pixels. zone:
    where it lies, "" where no zone has a name.
    """

    points: NDArray[np.float64]
    score: float
    area: int
    zone: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the outline."""
        (left, top), (right, bottom) = self.points.min(axis=0), self.points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def find_regions(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    min_area: int,
    tolerance: float,
    inside: NDArray[np.bool_] | None = None,
    zone: str = "",
) -> list[Region]:
    """The regions of a map (H, W) above `threshold`, the highest score first; only those parts that
    are `inside` (H, W), the `zone`.

    Pixels that touch, be it at a corner, are one region; those smaller than `min_area` pixels are
    left out, holes are filled. Outlines are simplified by up to `tolerance` pixels, less where the
    polygon would stray from its region (`LIKENESS`). (`docs/spec/dsarad.md` §10)
    """
    above = anomaly_map > threshold
    above = above if inside is None else above & inside
    if not above.any():  # the usual case: an image's worth of labels is not needed
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above.view(np.uint8), connectivity=8)
    regions = []
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[number])
        if area < min_area:
            continue
        part = np.s_[top : top + height, left : left + width]
        of_region = labels[part] == number
        points = _outline(of_region, tolerance) + np.array([left, top]) + MIDDLE
        regions.append(Region(points, float(anomaly_map[part][of_region].max()), area, zone))
    return sorted(regions, key=lambda region: -region.score)


def regions_by_zone(
    anomaly_map: NDArray[np.float32],
    zones: ZoneMap | None,
    rules: Sequence[ZoneRule],
    min_area: int,
    tolerance: float,
) -> list[Region]:
    """`find_regions` of each zone and the rest, above its own threshold and least area."""
    parts = {rule.name: zones.of(rule.name) if zones else None for rule in rules}
    regions = [
        region
        for rule in (rules if zones else rules[-1:])  # without zones all is the rest
        for region in find_regions(
            *(anomaly_map, rule.map_threshold, max(min_area, rule.min_area), tolerance),
            inside=parts[rule.name],
            zone=rule.name,
        )
    ]
    return sorted(regions, key=lambda region: -region.score)


def rasterised(points: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (H, W) of a polygon, as LabelMe's own export fills it."""
    mask = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in points.tolist()], outline=1, fill=1)
    return np.asarray(mask)


def _outline(region: NDArray[np.bool_], tolerance: float) -> NDArray[np.float64]:
    """Pixels (N, 2) around a region that fills (h, w), itself of one piece."""
    contours, _ = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    whole = contours[0]
    filled = rasterised(_polygon(whole) + MIDDLE, region.shape)
    while tolerance >= 0.25:
        points = _polygon(cv2.approxPolyDP(whole, tolerance, True))
        drawn = rasterised(points + MIDDLE, region.shape)  # as it will be: boxes lie between pixels
        if (drawn & filled).sum() >= LIKENESS * (drawn | filled).sum():
            return points
        tolerance /= 2
    return _polygon(whole)


def _polygon(contour: NDArray[Any]) -> NDArray[np.float64]:
    """A contour (N, 1, 2) as (N, 2); a dot or a line becomes a box half a pixel wide."""
    if len(contour) > 2:
        return contour[:, 0].astype(np.float64)
    center, (width, height), angle = cv2.minAreaRect(contour)
    box = (center, (width + 0.5, height + 0.5), angle)
    return np.asarray(cv2.boxPoints(box), np.float64)
