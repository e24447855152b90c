"""What a zone puts up with: thresholds from the normals in it, areas, fallbacks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blemish.core.data_params import Tolerance
from blemish.images.framing import Framing
from blemish.images.seen_zones import UnitZones, ZoneReader, see
from blemish.images.zones import IGNORED, ZoneMap, write_zone_map
from blemish.methods.scoring import Scored
from blemish.methods.validation import NotFinite, Validation
from blemish.methods.zone_rules import (
    ZoneRule,
    above_threshold,
    largest_region,
    lowest_where_ignored,
    zone_alarms,
    zone_rules,
    zone_scores,
)

FRAMING = Framing.square(8, "squash")


def index_map() -> ZoneMap:
    """8×8: the first row is ignored, the second the rim, the third the hub."""
    index = np.zeros((8, 8), np.uint8)
    index[:3] = np.array([IGNORED, 1, 2])[:, None]
    return ZoneMap(("rim", "hub"), index)


def known(root: Path, count: int = 10, zones: str | None = "zones.png") -> Validation:
    """Of `count` normals whose maps are: 99 where ignored, i in the rim, 10 i in the hub, −i in
    the rest; the scores are a hundred times that."""
    write_zone_map(index_map(), root / "zones.png")
    rows = pd.DataFrame({"zones": [zones] * count, "height": 8, "width": 8})
    rows = rows.assign(split="val", label=0)
    tolerances = {"rim": Tolerance(false_alarm_rate=0.3), "hub": Tolerance(min_area=3)}
    unit = UnitZones(tolerances, ZoneReader(root, ("rim", "hub"), FRAMING), rows)
    normals = []
    for i in range(1, count + 1):
        anomaly_map = np.full((8, 8), -i, np.float32)
        anomaly_map[:3] = np.array([99, i, 10 * i])[:, None]
        normals.append(Scored(anomaly_map, 100.0 * np.array([10 * i, i, 10 * i, -i])))
    return Validation.of(normals[::-1], unit)


def test_validation_knows_each_zone_of_judged_pixels(tmp_path) -> None:
    found = known(tmp_path)
    tens = [10.0 * i for i in range(1, 11)]
    assert found.map_maxima == tens  # not 99
    assert found.normal_scores == [100 * ten for ten in tens]
    assert found.map_level == -5.5
    assert list(found.zones) == ["rim", "hub", "rest"]
    assert found.zones["rim"].map_maxima == [1.0 * i for i in range(1, 11)]
    assert found.zones["rim"].normal_scores == [100.0 * i for i in range(1, 11)]
    assert found.zones["hub"].map_maxima == tens
    assert found.zones["rest"].normal_scores == [-100.0 * i for i in range(10, 0, -1)]


def test_thresholds_follow_each_zone_s_own_rate(tmp_path) -> None:
    tolerances = {"rim": Tolerance(false_alarm_rate=0.3), "hub": Tolerance(min_area=3)}
    rim, hub, rest = zone_rules(known(tmp_path), tolerances, 0.1)
    assert rim == ZoneRule("rim", 0.3, 700.0, 7.0, 0, 10)
    assert hub == ZoneRule("hub", 0.1, 9000.0, 90.0, 3, 10)
    assert rest == ZoneRule("rest", 0.1, -200.0, -2.0, 0, 10)
    assert (rim.said, hub.said) == ("rim (30 %)", "hub (10 %, from 3 px)")
    assert rim.notes == []
    (note,) = zone_rules(known(tmp_path), tolerances, 0.01)[1].notes
    assert note.startswith("Zone hub: 10 validation normals are too few to set a false-alarm rate")
    for none in (None, {}):
        assert zone_rules(known(tmp_path), none, 0.1) == ()


def test_a_zone_that_no_normal_has_goes_by_the_whole_image(tmp_path) -> None:
    tolerances = {"rim": Tolerance(), "hub": Tolerance()}
    rim, hub, rest = zone_rules(known(tmp_path, zones=None), tolerances, 0.1)
    assert (rim.threshold, rim.map_threshold, rim.normals) == (9000.0, 99.0, 0)
    assert hub.threshold == rest.threshold == 9000.0
    assert rest.normals == 10
    assert "no validation normal has it" in rim.notes[0]


RULES = (
    ZoneRule("rim", 0.1, 5.0, 5.0, 0, 10),
    ZoneRule("hub", 0.1, 5.0, 5.0, 3, 10),
    ZoneRule("rest", 0.1, 5.0, 5.0, 0, 10),
)


def alarms(anomaly_map: np.ndarray, scores: list[float]) -> list[bool]:
    return zone_alarms(RULES, scores, index_map(), lambda: anomaly_map).tolist()


def test_a_zone_is_an_alarm_above_its_threshold_and_from_its_area_on() -> None:
    anomaly_map = np.zeros((8, 8), np.float32)
    assert alarms(anomaly_map, [5.0, 5.0, 5.0]) == [False] * 3
    assert alarms(anomaly_map, [5.1, 5.1, 5.1]) == [True, False, True]  # no area in the hub
    anomaly_map[2, [0, 1, 3, 4]] = 9  # two regions of two pixels
    assert not alarms(anomaly_map, [0, 9, 0])[1]
    anomaly_map[1, 2] = anomaly_map[3, 2] = 9  # what joins them lies outside
    assert not alarms(anomaly_map, [0, 9, 0])[1]
    anomaly_map[2, 2] = 5  # not above
    assert not alarms(anomaly_map, [0, 9, 0])[1]
    anomaly_map[2, 2] = 5.1
    assert alarms(anomaly_map, [0, 9, 0]) == [False, True, False]
    assert alarms(anomaly_map, [0, 4, 0]) == [False] * 3
    assert alarms(anomaly_map, [-np.inf] * 3) == [False] * 3
    assert zone_alarms(RULES, [-np.inf, -np.inf, 6], None, np.empty).tolist() == [
        *(False, False, True)
    ]


def test_corners_join_a_region() -> None:
    mask = np.eye(5, dtype=bool)
    mask[0, 4] = True
    assert largest_region(mask) == 5
    assert largest_region(np.zeros((3, 3), bool)) == 0


def test_a_zone_that_is_nowhere_has_no_score() -> None:
    index = np.full((8, 8), 2, np.uint8)
    seen = see(ZoneMap(("rim", "hub"), index), FRAMING)
    assert zone_scores(np.array([4.0, 1, 4, 1]), seen, 3).tolist() == [-np.inf, 4, -np.inf]
    assert zone_scores(np.array([4.0]), None, 3).tolist() == [-np.inf, -np.inf, 4]


def test_what_is_above_lies_in_judged_pixels_by_each_zone_s_threshold() -> None:
    anomaly_map = np.full((8, 8), 6, np.float32)
    rules = [*RULES[:2], ZoneRule("rest", 0.1, 0, 7.0, 0, 10)]
    assert above_threshold(anomaly_map, index_map(), rules, 0).any(axis=1).tolist() == [
        *(False, True, True), *[False] * 5,
    ]  # fmt: skip
    assert above_threshold(anomaly_map, index_map(), (), 5.5).sum() == 56
    anomaly_map[2, 2] = 0  # leaves regions of two and five pixels, of which the hub wants three
    found = above_threshold(anomaly_map, index_map(), rules, 0)
    assert found[2].tolist() == [False] * 3 + [True] * 5
    assert found[1].all()
    assert not above_threshold(anomaly_map, None, rules, 0).any()
    anomaly_map[2, 2] = 6
    assert above_threshold(anomaly_map, None, (), 5.5).all()


def test_ignored_pixels_take_the_lowest_judged_value() -> None:
    anomaly_map = np.arange(64, dtype=np.float32).reshape(8, 8)
    found = lowest_where_ignored(anomaly_map, index_map())
    assert (found[0] == 8).all()
    assert (found[1:] == anomaly_map[1:]).all()
    assert lowest_where_ignored(anomaly_map, None) is anomaly_map
    assert found.dtype == np.float32


@pytest.mark.parametrize("broken", [0, 1])
def test_no_zone_may_be_infinite(broken) -> None:
    scores = np.array([1.0, 2.0])
    scores[broken] = np.inf
    with pytest.raises(NotFinite):
        Validation.of([Scored(np.zeros((2, 2), np.float32), scores)])
