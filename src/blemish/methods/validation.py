"""What a model knows of its unit's validation normals: where its thresholds come from."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from blemish.core.params import Section
from blemish.images.seen_zones import SeenZones, UnitZones
from blemish.images.zones import REST
from blemish.methods.scoring import Map, Scored
from blemish.metrics.threshold import threshold_at, thresholds_for_use


class NotFinite(ValueError):
    """A score or a map holds NaN or infinity."""


class Threshold(Section):
    """Image scores above `threshold` are alarms; the rate on new normals is expected to be
    `expected_rate`, and with 95 % confidence lies between `rate_low` and `rate_high`."""

    false_alarm_rate: float
    threshold: float
    expected_rate: float
    rate_low: float
    rate_high: float


class ZoneNormals(Section):
    """What `Validation` keeps of all the image, of one zone: of the normals that have it."""

    normal_scores: list[float]
    map_maxima: list[float]


class Validation(Section):
    """Image scores of the validation normals: the threshold of any false-alarm rate follows; those
    of the usual rates are written out.

    Scores need not be in the units of the anomaly maps, so the maps' own facts stand beside them:
    the maxima of the normals' maps, and their usual level, the median of the maps' medians. All are
    of what is judged. zones: those of each zone with a name and of the `rest`, where there are any.
    """

    normal_scores: list[float]
    map_maxima: list[float]
    map_level: float
    thresholds: list[Threshold]
    zones: dict[str, ZoneNormals] = Field(default={})

    @classmethod
    def of(cls, normals: Iterable[Scored], zones: UnitZones | None = None) -> "Validation":
        """From the maps and scores of the validation normals; with zones, the scores of an image
        that has any are of the zones as seen. Raises NotFinite."""
        facts, parts = [], _Parts(zones)
        each: Iterable[SeenZones | None] = zones.of_normals() if zones else repeat(None)
        for (anomaly_map, scores), of_image in zip(normals, each, strict=False):
            if not (np.isfinite(scores).all() and np.isfinite(anomaly_map).all()):
                raise NotFinite
            judged = parts.add(anomaly_map, scores, of_image)
            facts.append((float(scores[0]), float(judged.max()), float(np.median(judged))))
        ordered, maxima, levels = (sorted(fact) for fact in zip(*facts, strict=True))
        return cls(
            normal_scores=ordered,
            map_maxima=maxima,
            map_level=float(np.median(levels)),
            thresholds=[Threshold(**threshold) for threshold in thresholds_for_use(ordered)],
            zones=parts.normals(),
        )

    def joined(self, scores: list[float], map_maxima: list[float]) -> "Validation":
        """With more normals, by their scores and their maps' maxima; the maps' usual level stays.

        Not for a unit with zones of its own rules, of which each would need its scores.
        """
        ordered = sorted([*self.normal_scores, *scores])
        more = {
            "normal_scores": ordered,
            "map_maxima": sorted([*self.map_maxima, *map_maxima]),
            "thresholds": [Threshold(**threshold) for threshold in thresholds_for_use(ordered)],
        }
        return self.model_copy(update=more)

    def map_threshold(self, false_alarm_rate: float) -> float:
        """The lowest value that the maps of at most this share of normals exceed anywhere."""
        return threshold_at(self.map_maxima, false_alarm_rate)


class _Parts:
    """Gathers score and map's maximum in each zone."""

    def __init__(self, unit: UnitZones | None) -> None:
        self._unit = unit
        self._found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)

    def add(
        self, anomaly_map: Map, scores: NDArray[np.float64], zones: SeenZones | None
    ) -> NDArray[np.float32]:
        """Add an image; returns the values of its map that are judged.

        Those of zones are taken at the size of the image, where the map is compared with them.
        """
        if zones is None or self._unit is None:
            self._found[REST].append((float(scores[0]), float(anomaly_map.max())))
            return anomaly_map
        index = zones.zones.index
        whole = self._unit.reader.framing.to_original(anomaly_map, (index.shape[0], index.shape[1]))
        for name, score, present in zip(
            (*zones.zones.names, REST), scores[1:], zones.present, strict=True
        ):
            if present:
                self._found[name].append((float(score), float(whole[zones.zones.of(name)].max())))
        return np.asarray(whole[zones.zones.judged()])

    def normals(self) -> dict[str, ZoneNormals]:
        """In the order of the zones; nothing where none has a name."""
        if not (self._unit and self._unit.tolerances):
            return {}
        columns = {
            name: list(zip(*self._found[name], strict=True)) or [(), ()]
            for name in (*self._unit.tolerances, REST)
        }
        return {
            name: ZoneNormals(normal_scores=sorted(scores), map_maxima=sorted(maxima))
            for name, (scores, maxima) in columns.items()
        }
