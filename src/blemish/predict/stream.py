"""Predictions one after the other: images are read ahead, scored one at a time, and forgotten."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.core.errors import UserError
from blemish.images.framing import Framing, Size
from blemish.images.reading import Levels, read_image
from blemish.images.seen_zones import SeenZones
from blemish.images.zones import ZoneMap
from blemish.methods.detector import AnyDetector
from blemish.methods.scoring import score_picture
from blemish.methods.zone_rules import ZoneRule, lowest_where_ignored, zone_alarms, zone_scores
from blemish.predict.inputs import Source
from blemish.predict.regions import Region, find_regions, regions_by_zone

AHEAD = 3  # images that are read while one is scored,
AHEAD_BYTES = 1 << 26  # but none where they are as large as this


@dataclass(frozen=True)
class Rules:
    """From score and map to a decision and regions; see `find_regions`. zones: the rules of those
    with names and of the rest, which then decide."""

    threshold: float
    map_threshold: float
    min_area: int
    tolerance: float
    zones: tuple[ZoneRule, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image (H, W, 3), its map (H, W) at the image's own size, with its
    lowest value where the image is ignored."""

    source: Source
    image: NDArray[np.uint8]
    anomaly_map: NDArray[np.float32]
    score: float
    alarm: bool
    regions: list[Region]
    seen: float  # share of the image that the network saw
    zones: ZoneMap | None = None
    zone_alarms: dict[str, bool] | None = None  # None where no zone has a name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]


class Decision(TypedDict):
    """Two fields of `Prediction`."""

    alarm: bool
    zone_alarms: dict[str, bool] | None


ZonesOf = Callable[[str, Size], SeenZones | None]


@dataclass(frozen=True)
class Unreadable:
    """An image that was skipped; `reason` names it."""

    source: Source
    reason: str


def predict_each(
    method: AnyDetector,
    sources: Sequence[Source],
    rules: Rules,
    levels: Levels | None = None,
    zones_of: ZonesOf | None = None,
) -> Iterator[Prediction | Unreadable]:
    """A result for each source, in order; levels: what 16-bit images mean to the model; zones_of:
    the zones of an image by its name and size, a UserError there leaves it out.

    Raises:
        UserError: the model gives NaN or infinity.
    """
    cv2.setNumThreads(1)  # OpenCV's own threads would fight with ours
    with ThreadPoolExecutor(AHEAD) as pool:
        read_source = partial(_read, method.framing, levels, zones_of)
        for source, read in zip(sources, _ahead(pool, sources, read_source), strict=True):
            if isinstance(read, Unreadable):
                yield read
            else:
                yield _judged(method, source, *read, rules)


Framed = tuple[NDArray[np.uint8], Tensor, SeenZones | None]


def _ahead(
    pool: ThreadPoolExecutor,
    sources: Sequence[Source],
    read: Callable[[Source], Framed | Unreadable],
) -> Iterator[Framed | Unreadable]:
    coming = iter(sources)
    running: deque[Future[Framed | Unreadable]] = deque()

    def submit(count: int) -> None:
        running.extend(pool.submit(read, source) for source in islice(coming, max(0, count)))

    submit(1)
    while running:
        result = running.popleft().result()
        large = not isinstance(result, Unreadable) and result[0].nbytes >= AHEAD_BYTES
        submit(0 if large else AHEAD - len(running))
        yield result
        submit(1 - len(running))


def _read(
    framing: Framing, levels: Levels | None, zones_of: ZonesOf | None, source: Source
) -> Framed | Unreadable:
    try:
        image = read_image(source.path, levels)
        name = source.name.with_suffix("").as_posix()
        zones = zones_of(name, (image.shape[0], image.shape[1])) if zones_of else None
        return image, torch.from_numpy(framing.to_model(image)), zones
    except UserError as error:
        return Unreadable(source, str(error))
    except Exception as error:  # decoders of damaged files raise anything; the others must go on
        kind = type(error).__name__
        return Unreadable(source, f"{source.path}: not a whole image ({kind}: {error})")


def _judged(
    method: AnyDetector,
    source: Source,
    image: NDArray[np.uint8],
    framed: Tensor,
    seen: SeenZones | None,
    rules: Rules,
) -> Prediction:
    size, zones = (image.shape[0], image.shape[1]), seen.zones if seen else None
    small, scores = score_picture(method, framed, size, seen.seen if seen else None)
    if not (np.isfinite(scores).all() and np.isfinite(small).all()):
        raise UserError(f"{source.path}: the model gives NaN or infinity: train it again")
    anomaly_map = method.framing.to_original(small, size)
    anomaly_map = np.asarray(lowest_where_ignored(anomaly_map, zones), np.float32)
    return Prediction(
        source,
        image,
        anomaly_map,
        float(scores[0]),
        regions=_regions(anomaly_map, zones, rules),
        seen=method.framing.seen(*size),
        zones=zones,
        **_decision(anomaly_map, scores, seen, rules),
    )


def _regions(anomaly_map: NDArray[np.float32], zones: ZoneMap | None, rules: Rules) -> list[Region]:
    if rules.zones:
        how = (rules.zones, rules.min_area, rules.tolerance)
        return regions_by_zone(anomaly_map, zones, *how)
    judged = zones.judged() if zones else None
    where = (rules.map_threshold, rules.min_area, rules.tolerance)
    return find_regions(anomaly_map, *where, inside=judged)


def _decision(
    anomaly_map: NDArray[np.float32],
    scores: NDArray[np.float64],
    seen: SeenZones | None,
    rules: Rules,
) -> Decision:
    """The alarm, and those of zones where these decide."""
    if not rules.zones:
        return {"alarm": bool(scores[0] > rules.threshold), "zone_alarms": None}
    by_zone = zone_scores(scores, seen, len(rules.zones))
    zones = seen.zones if seen else None
    alarms = zone_alarms(rules.zones, by_zone.tolist(), zones, lambda: anomaly_map)
    named = {rule.name: bool(on) for rule, on in zip(rules.zones, alarms, strict=True)}
    return {"alarm": bool(alarms.any()), "zone_alarms": named}
