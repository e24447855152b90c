"""Decisions zone by zone, and what is said of each zone in `metrics.json`."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from blemish.core.errors import UserError
from blemish.evaluation.image_table import Headline
from blemish.evaluation.predictions import Map, Predictions
from blemish.images.manifest import Manifest
from blemish.images.zones import IGNORE
from blemish.methods.saved import Record
from blemish.methods.zone_rules import ZoneRule, zone_alarms, zone_rules
from blemish.metrics.threshold import expected_rate, share

DECIDED = (
    "Zones decide: an image is an alarm where one of its zones is, each with a threshold of its "
    "own: {}. The image's score is of all that is judged."
)


def rules_of(record: Record, unit: Manifest, false_alarm_rate: float) -> tuple[ZoneRule, ...]:
    """The rules of a unit's zones by what a model knows; none where no zone has a name.

    Raises UserError where the unit has other zones than the model was trained with.
    """
    known, now = tuple(record.zones or ()), unit.facts.zones
    if known != now:
        raise UserError(
            f"{record.unit} {record.method} seed {record.seed}: trained with the zones "
            f"{', '.join(known) or 'none'}, but the unit has {', '.join(now) or 'none'}: "
            "train it again"
        )
    return zone_rules(record.validation, unit.tolerances(), false_alarm_rate)


def decided(found: Predictions, rules: Sequence[ZoneRule]) -> Predictions:
    """The predictions with the alarms of each zone; as they are where there are no rules."""
    if not rules or found.zone_scores is None:
        return found
    alarms = np.zeros(found.zone_scores.shape, bool)
    for position, scores in enumerate(found.zone_scores):

        @cache
        def at_original_size(position: int = position) -> Map:
            row = found.rows.iloc[position]
            size = (int(row["height"]), int(row["width"]))
            return found.to_original(np.asarray(found.maps[position]), size)

        zones = found.zone_map(position)
        alarms[position] = zone_alarms(rules, scores.tolist(), zones, at_original_size)
    return replace(found, zone_alarms=alarms)


def names_of_alarms(found: Predictions, rules: Sequence[ZoneRule]) -> list[str]:
    """For each image the zones that are alarms, such as "rim, rest"; "" where none is."""
    alarms = found.zone_alarms if found.zone_alarms is not None else np.zeros((0, 0), bool)
    return [", ".join(rule.name for rule, on in zip(rules, row, strict=True) if on)
            for row in alarms]  # fmt: skip


def by_zone(
    tested: Predictions, rules: Sequence[ZoneRule], headline: Headline
) -> dict[str, dict[str, Any]]:
    """What `metrics.json` says of each zone and the rest, from the main test set.

    Of the images that have the zone `alarms` are alarms in it; `test_false_alarm_rate` is the share
    of the good ones; `recall` that of the `defective` ones, whose masks touch the zone.
    """
    assert tested.zone_alarms is not None
    assert tested.zone_scores is not None
    main = np.asarray(headline(tested.rows), bool)
    good = main & (tested.rows["label"] == 0).to_numpy()
    zones = {}
    for at, rule in enumerate(rules):
        alarm, has = tested.zone_alarms[:, at], np.isfinite(tested.zone_scores[:, at])
        defective = main & tested.touched[:, 1 + at]
        zones[rule.name] = _numbers(rule) | {
            "alarms": int(alarm[main].sum()),
            "test_good": int((good & has).sum()),
            "test_false_alarm_rate": share(alarm[good & has]),
            "defective": int(defective.sum()),
            "recall": share(alarm[defective]),
        }
    return zones


def notes_of(rules: Sequence[ZoneRule]) -> list[str]:
    """What must be said where zones decide."""
    if not rules:
        return []
    said = DECIDED.format(", ".join(rule.said for rule in rules))
    return [said, *(note for rule in rules for note in rule.notes)]


def hidden_note(test: Predictions, extra: Sequence[str]) -> list[str]:
    """A sentence on the defective images of which nothing is judged, if there are any outside of
    the `extra` slices."""
    count = int((test.hidden & ~test.rows["slice"].isin(extra).to_numpy()).sum())
    images = "image lies" if count == 1 else "images lie"
    return [f"{count} defective {images} wholly in the zone `{IGNORE}`: left out."] if count else []


def _numbers(rule: ZoneRule) -> dict[str, Any]:
    expected = expected_rate(rule.normals, rule.false_alarm_rate) if rule.normals else {}
    return {
        "threshold": rule.threshold,
        "map_threshold": rule.map_threshold,
        "false_alarm_rate": rule.false_alarm_rate,
        "min_area": rule.min_area,
        "validation_normals": rule.normals,
        **expected,
    }
