"""What a zone puts up with: thresholds of its own, and the decision that follows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.core.data_params import Tolerance
from blemish.images.seen_zones import SeenZones
from blemish.images.zones import REST, Mask, ZoneMap
from blemish.methods.validation import Validation, ZoneNormals
from blemish.metrics.threshold import threshold_at, threshold_note

Map = NDArray[np.floating]


@dataclass(frozen=True)
class ZoneRule:
    """When a zone is an alarm: its score is above `threshold` and, where `min_area` is above 0,
    its map has a connected region of at least so many pixels above `map_threshold`.

    normals: how many validation normals the thresholds are from; 0: none has the zone, and they
    are those of the whole image.
    """

    name: str
    false_alarm_rate: float
    threshold: float
    map_threshold: float
    min_area: int
    normals: int

    @property
    def notes(self) -> list[str]:
        """What the reader must know of the thresholds."""
        if not self.normals:
            return [f"Zone {self.name}: no validation normal has it: it is judged by the "
                    "thresholds of the whole image."]  # fmt: skip
        note = threshold_note(self.normals, self.false_alarm_rate)
        return [f"Zone {self.name}: {note}"] if note else []

    @property
    def said(self) -> str:
        """The tolerance in words, such as "rim (10 %, from 40 px)"."""
        area = f", from {self.min_area} px" if self.min_area else ""
        return f"{self.name} ({100 * self.false_alarm_rate:g} %{area})"


def zone_rules(
    known: Validation, tolerances: Mapping[str, Tolerance] | None, false_alarm_rate: float
) -> tuple[ZoneRule, ...]:
    """The rules of a unit's zones and of the rest; none where no zone has a name.

    false_alarm_rate: of the rest, and of zones without one of their own.
    """
    if not tolerances:
        return ()
    each = {**tolerances, REST: Tolerance()}
    return tuple(_rule(name, each[name], known, false_alarm_rate) for name in each)


def _rule(name: str, tolerance: Tolerance, known: Validation, usual: float) -> ZoneRule:
    rate = usual if tolerance.false_alarm_rate is None else tolerance.false_alarm_rate
    own: Validation | ZoneNormals = known.zones.get(name) or known
    count = len(own.normal_scores) if name in known.zones else 0
    source = own if count else known
    return ZoneRule(
        name,
        rate,
        threshold_at(source.normal_scores, rate),
        threshold_at(source.map_maxima, rate),
        tolerance.min_area,
        count,
    )


def zone_scores(
    scores: NDArray[np.float64], seen: SeenZones | None, count: int
) -> NDArray[np.float64]:
    """Of the `count` zones, the rest included, the scores (count,): −∞ where an image has none of
    it. scores: of the image as `score_picture` gives them by `seen`; None: all is the rest."""
    by_zone = np.full(count, -np.inf)
    if seen is None:
        by_zone[-1] = scores[0]
    else:
        by_zone[seen.present] = scores[1:][seen.present]
    return by_zone


def zone_alarms(
    rules: Sequence[ZoneRule],
    scores: Sequence[float],
    zones: ZoneMap | None,
    anomaly_map: Callable[[], Map],
) -> NDArray[np.bool_]:
    """Which of the zones and the rest are alarms, (1 + n,).

    scores: of each, −∞ where the image has none of it. zones: None where all is the rest.
    anomaly_map: gives the map at the size of the image; asked where an area decides.
    """
    alarms = [score > rule.threshold for rule, score in zip(rules, scores, strict=True)]
    for at, rule in enumerate(rules):
        if alarms[at] and rule.min_area and zones is not None:
            above = (anomaly_map() > rule.map_threshold) & zones.of(rule.name)
            alarms[at] = largest_region(above) >= rule.min_area
    return np.array(alarms, bool)


def largest_region(mask: Mask) -> int:
    """The pixels of the largest 8-connected region, 0 where there is none."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _large(mask: Mask, least: int) -> Mask:
    """The 8-connected regions of at least so many pixels."""
    if least < 2 or not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    return np.asarray(large[labels])


def above_threshold(
    anomaly_map: Map, zones: ZoneMap | None, rules: Sequence[ZoneRule], otherwise: float
) -> Mask:
    """Where a map (H, W) is above the threshold of its zone, nowhere in what is ignored, without
    the regions that are too small for their zone.

    otherwise: the threshold where there are no rules.
    """
    if zones is None:
        usual = rules[-1].map_threshold if rules else otherwise
        return np.asarray(anomaly_map > usual)
    above = np.zeros(anomaly_map.shape, bool)
    for rule in rules:
        above |= _large((anomaly_map > rule.map_threshold) & zones.of(rule.name), rule.min_area)
    return above if rules else (anomaly_map > otherwise) & zones.judged()


def lowest_where_ignored(anomaly_map: Map, zones: ZoneMap | None) -> Map:
    """A map (H, W) whose ignored pixels have the lowest value of the judged ones."""
    if zones is None:
        return anomaly_map
    judged = zones.judged()
    return anomaly_map if judged.all() else np.where(judged, anomaly_map, anomaly_map[judged].min())
