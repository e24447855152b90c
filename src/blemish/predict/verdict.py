"""From the score and the map of an image to a decision and regions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.images.seen_zones import SeenZones
from blemish.images.zones import ZoneMap
from blemish.methods.zone_rules import ZoneRule, zone_alarms, zone_scores
from blemish.predict.regions import Region, find_regions, regions_by_zone

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Rules:
    """What the decision and the regions follow from; see `find_regions`.

    expected_rate: the share of new good images whose scores are expected above `threshold`. zones:
    the rules of those with names and of the rest, which then decide.
    """

    threshold: float
    map_threshold: float
    min_area: int
    tolerance: float
    expected_rate: float
    zones: tuple[ZoneRule, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a detector says of one image of H×W pixels.

    defective: whether `score` is above `threshold`; where zones have names, whether any of them
    is an alarm, see `zone_alarms`. map: float32 (H, W), at the image's own size; its lowest value
    where the image is not judged. regions: where the map is above its own threshold, the highest
    score first. expected_false_alarm_rate: the share of new good images that are expected above
    `threshold`. seen: the share of the image that the network saw. zones: those of the image.
    looks: the numbers of `images.looks`.
    """

    score: float
    defective: bool
    map: Map
    regions: tuple[Region, ...]
    threshold: float
    expected_false_alarm_rate: float
    seen: float = 1.0
    zones: ZoneMap | None = None
    zone_alarms: Mapping[str, bool] | None = None
    looks: Mapping[str, float] = field(default_factory=dict)


def verdict(
    scores: NDArray[np.float64],
    anomaly_map: Map,
    seen: SeenZones | None,
    share: float,
    rules: Rules,
) -> Verdict:
    """The verdict on an image.

    scores: as `score_picture` gives them by the zones `seen`. anomaly_map: (H, W). share: of the
    image, that was seen.
    """
    zones = seen.zones if seen else None
    alarms = _zone_alarms(anomaly_map, scores, seen, rules)
    alarm = any(alarms.values()) if alarms is not None else bool(scores[0] > rules.threshold)
    return Verdict(
        float(scores[0]),
        alarm,
        anomaly_map,
        tuple(_regions(anomaly_map, zones, rules)),
        rules.threshold,
        rules.expected_rate,
        share,
        zones,
        alarms,
    )


def _zone_alarms(
    anomaly_map: Map, scores: NDArray[np.float64], seen: SeenZones | None, rules: Rules
) -> dict[str, bool] | None:
    """By name which zones are alarms; None where none has a name."""
    if not rules.zones:
        return None
    by_zone = zone_scores(scores, seen, len(rules.zones))
    zones = seen.zones if seen else None
    alarms = zone_alarms(rules.zones, by_zone.tolist(), zones, lambda: anomaly_map)
    return {rule.name: bool(on) for rule, on in zip(rules.zones, alarms, strict=True)}


def _regions(anomaly_map: Map, zones: ZoneMap | None, rules: Rules) -> list[Region]:
    if rules.zones:
        how = (rules.zones, rules.min_area, rules.tolerance)
        return regions_by_zone(anomaly_map, zones, *how)
    judged = zones.judged() if zones else None
    where = (rules.map_threshold, rules.min_area, rules.tolerance)
    return find_regions(anomaly_map, *where, inside=judged)


def check_finite(scores: NDArray[np.float64], small: Map, name: str) -> None:
    """Raise UserError where the model says NaN or infinity of the image `name`."""
    if not (np.isfinite(scores).all() and np.isfinite(small).all()):
        raise UserError(f"{name}: the model gives NaN or infinity: train it again")
