"""Judge an image with an exported graph of one window: numpy and Pillow alone.

The stage `export` proves the graph with this file and lays a copy of it beside the graph, for
programs without Blemish. `facts` are `export.json`; `zones` are the arrays of `zones.npz`, None
where there is none: `index` (H, W), 255 where the image is not judged, k in the k-th zone, 0
elsewhere; and `seen` (Z, h, w), at the size of the map, what each score judges.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

IGNORED = 255
BLIND = 0.25  # share of the overlap, at a window's border, that counts for nothing

Array = Any  # of numpy
# uint8 pictures (W, 3, h, w) and bool judged (Z, W, h, w) -> maps (W, h, w) and scores (Z,)
Network = Callable[[Array, Array], tuple[Array, Array]]


class Judged(NamedTuple):
    """Of an image (H, W): its score, the decision, its map (H, W), and by name which zones are
    alarms; empty where none has a name."""

    score: float
    defective: bool
    map: Array
    alarms: dict[str, bool]


class Place(NamedTuple):
    """The size (h, w) that an image gets, that of the frame, and where in it the image begins."""

    resized: tuple[int, int]
    frame: tuple[int, int]
    start: tuple[int, int]


def judge(
    network: Network, facts: Mapping[str, Any], zones: Mapping[str, Array] | None, image: Array
) -> Judged:
    """Judge an image, uint8 (H, W, 3), RGB."""
    size, view = (image.shape[0], image.shape[1]), facts["view"]
    place = place_of(view, size)
    fits = zones is not None and zones["index"].shape == size
    of_image = zones if fits else None
    judged = np.zeros((len(facts["zones"]) + 1, *place.frame), bool)
    inside(judged, place)[:] = of_image["seen"] if of_image is not None else True
    picture, whole = framed(image, place), np.zeros(place.frame, np.float32)
    spots = list(windows(view, place.frame))
    height, width = view["height"], view["width"]
    pictures, counted = [], []
    for top, left, _, owned in spots:
        part = np.s_[..., top : top + height, left : left + width]
        pictures.append(picture[part])
        counted.append(judged[part] & owned)
    maps, scores = network(np.stack(pictures), np.stack(counted, axis=1))
    for (top, left, weights, _), part in zip(spots, maps, strict=True):
        whole[top : top + height, left : left + width] += part * weights
    scores = np.where(judged.any(axis=(1, 2)), scores, whole.min())
    full = to_original(inside(whole, place), place, size)
    index = None if of_image is None else of_image["index"]
    alarms = _alarms(facts["zones"], scores, of_image, full)
    if index is not None:
        full = np.where(index == IGNORED, full[index != IGNORED].min(), full)
    above = bool(scores[0] > facts["graph_threshold"])
    return Judged(float(scores[0]), any(alarms.values()) if alarms else above, full, alarms)


def place_of(view: Mapping[str, Any], size: tuple[int, int]) -> Place:
    """Where an image of `size` comes to lie."""
    window, how = (view["height"], view["width"]), view["resize"]
    if how == "squash":
        return Place(window, window, (0, 0))
    if how == "tiles":
        resized = tuple(max(1, round(side * view["scale"])) for side in size)
        step = view["step"]
        frame = [max(least, -(-side // step) * step) for side, least in zip(resized, window)]  # noqa: B905
        return Place((resized[0], resized[1]), (frame[0], frame[1]), (0, 0))
    if how == "crop":
        target = round(view["height"] * view["enlarge"])
        resized = tuple(round(side * target / min(size)) for side in size)
    else:
        factor = min(window[0] / size[0], window[1] / size[1])
        resized = tuple(max(1, round(side * factor)) for side in size)
    start = [int((room - side) / 2) for room, side in zip(window, resized, strict=True)]
    return Place((resized[0], resized[1]), window, (start[0], start[1]))


def framed(image: Array, place: Place) -> Array:
    """uint8 (H, W, 3) → (3, h, w): resized, and mirrored beyond the borders of the image."""
    if image.shape[:2] != place.resized:
        height, width = place.resized
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        image = np.asarray(resized)
    top, left = place.start
    image = image[max(0, -top) :, max(0, -left) :][: place.frame[0], : place.frame[1]]
    before = [max(0, start) for start in place.start]
    after = [whole - side - start for whole, side, start
             in zip(place.frame, image.shape, before, strict=False)]  # fmt: skip
    filled = np.pad(image, [*zip(before, after, strict=True), (0, 0)], "symmetric")
    return filled.transpose(2, 0, 1)


def inside(frame: Array, place: Place) -> Array:
    """What of a frame (…, h, w) the image fills; a view of it."""
    top, left = (max(0, start) for start in place.start)
    return frame[..., top : top + place.resized[0], left : left + place.resized[1]]


def windows(view: Mapping[str, Any], frame: tuple[int, int]) -> Iterator[tuple[int, int, Any, Any]]:
    """Top, left, weights and the pixels that are counted there, (h, w) each, of each window."""
    rows, columns = (
        _along(whole, length, view["overlap"], view["step"])
        for whole, length in zip(frame, (view["height"], view["width"]), strict=True)
    )
    for top, row_weights, of_row in rows:
        for left, weights, of_column in columns:
            yield top, left, row_weights[:, None] * weights, of_row[:, None] & of_column


def _along(whole: int, length: int, overlap: int, step: int) -> list[tuple[int, Array, Array]]:
    """First pixel, weights (length,) and what is counted (length,), of windows along an axis.

    Weights rise evenly over what two windows share, but for its outer quarters, and add up to 1.
    """
    if whole == length:
        return [(0, np.ones(length, np.float32), np.ones(length, bool))]
    room, most = (whole - length) // step, max(1, (length - overlap) // step)
    starts = np.round(np.linspace(0, room, -(-room // most) + 1)).astype(int) * step
    middle = np.arange(length) + 0.5
    weights = np.ones((len(starts), length))
    for number, (left, right) in enumerate(pairwise(starts)):
        shared = left + length - right
        blind = BLIND * shared
        rise = np.clip((middle - blind) / max(shared - 2 * blind, 1e-9), 0, 1)
        weights[number] = np.minimum(weights[number], rise[::-1])
        weights[number + 1] = np.minimum(weights[number + 1], rise)
    total = np.zeros(whole)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + length] += weight
    borders = [(right + left + length) // 2 // step * step for left, right in pairwise(starts)]
    pixels, ends = np.arange(length), [0, *borders, whole]
    return [
        (int(start), (weight / total[start : start + length]).astype(np.float32),
         (pixels + start >= begin) & (pixels + start < end))
        for start, weight, begin, end in zip(starts, weights, ends[:-1], ends[1:], strict=True)
    ]  # fmt: skip


def to_original(small: Array, place: Place, size: tuple[int, int]) -> Array:
    """A map of what was seen → the size of the image; its lowest value where that was cut off."""
    if min(place.start) < 0:
        top, left = (max(0, -start) for start in place.start)
        whole = np.full(place.resized, small.min(), np.float32)
        whole[top : top + small.shape[0], left : left + small.shape[1]] = small
        small = whole
    for axis, length in enumerate(size):
        at = (np.arange(length) + 0.5) * small.shape[axis] / length - 0.5
        low = np.floor(at)
        share = (at - low).reshape(-1, *[1] * (1 - axis)).astype(np.float32)
        near, far = (np.take(small, low.astype(int) + k, axis, mode="clip") for k in (0, 1))
        small = near * (1 - share) + far * share
    return small


def _alarms(
    rules: list[dict[str, Any]], scores: Array, zones: Mapping[str, Array] | None, full: Array
) -> dict[str, bool]:
    """Which zones are alarms; the last of the rules is that of the rest of the image, and of the
    whole of one without zones."""
    alarms = {}
    for number, rule in enumerate(rules, 1):
        if zones is None:
            score = scores[0] if number == len(rules) else -np.inf
        else:
            score = scores[number] if zones["seen"][number].any() else -np.inf
        alarm = bool(score > rule["graph_threshold"])
        if alarm and rule["min_area"] and zones is not None:
            zone = zones["index"] == number % len(rules)
            alarm = largest_region((full > rule["map_threshold"]) & zone) >= rule["min_area"]
        alarms[rule["name"]] = alarm
    return alarms


def largest_region(mask: Array) -> int:
    """The pixels of the largest region, corners connect: each pixel takes the highest number in
    reach until all of a region have the same."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        around = np.pad(labels, 1)
        rows = np.maximum.reduce([around[:-2], around[1:-1], around[2:]])
        spread = np.maximum.reduce([rows[:, :-2], rows[:, 1:-1], rows[:, 2:]]) * mask
        if (spread == labels).all():
            return int(np.bincount(labels[mask]).max(initial=0))
        labels = spread
