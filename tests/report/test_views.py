"""What the page says of a unit in words and small tables."""

import pytest

from blemish.metrics import table
from blemish.report import tables, views
from tests.browser.workspace import MASKED
from tests.report.runs import a_run


def test_the_operating_point_in_words() -> None:
    run = a_run("a/b", "glass", 0)
    assert views.operating_point(run, several=False).replace("\N{NBSP}", " ") == (
        "At threshold 0.5, set on 70 validation normals for 5 % false alarms (on new normals "
        "5.6 % are to be expected, 95 %: 1.6 % to 12.0 %): recall 80.0 % of 30 defective images, "
        "false alarms on 10.0 % of 40 good ones; precision 90.0 %, "
        "accuracy 85.0 %."
    )
    run.record["threshold"]["precision"] = None
    assert "precision –" in views.operating_point(run, several=True)


def test_weak_defects_are_ordered_by_beta_and_averaged_over_seeds() -> None:
    slices = [
        {"weak-0.7": {"image_auroc": 0.6}, "weak-0.1": {"image_auroc": 0.9 + x}, "doubtful": {}}
        for x in (0.0, 0.02)
    ]
    runs = [a_run("a/b", "glass", seed, slices=part) for seed, part in enumerate(slices)]
    assert views.weak_points(runs) == [pytest.approx((0.1, 0.91)), pytest.approx((0.7, 0.6))]


def test_the_verdict_under_a_picture_follows_the_threshold() -> None:
    def verdict(label: int, score: float) -> tuple[str, str]:
        entry = {"label": label, "score": score, "defect": "x", "image": "x.png"}
        shown = views.caption(entry, threshold=0.5)
        return shown["verdict"], shown["right"]

    assert verdict(1, 0.5) == ("missed", "wrong")
    assert verdict(1, 0.51) == ("found", "right")
    assert verdict(0, 0.51) == ("false alarm", "wrong")
    assert verdict(0, 0.5) == ("passed", "right")


def test_area_quarters_aupimo_and_spro_are_shown() -> None:
    quarter = {"count": 3, "recall": 0.5, "pixel_aupimo": 0.25, "area_from": 0.001, "area_to": 0.02}
    numbers = {"pixel_spro": 0.7, "pixel_spro_0.01": 0.4, "pixel_aupimo": 0.3, "pixel_aupro": 0.9}
    runs = [
        a_run(MASKED, "glass", seed, by_area={"q1": quarter}, metrics=numbers, masks="pixel")
        for seed in (0, 1)
    ]
    quarters = views.areas(runs)
    assert quarters["head"] == ["Defect area", "Images", "Recall at threshold", "Pixel AUPIMO"]
    assert quarters["rows"] == [
        ["smallest quarter, 0.1–2\N{NO-BREAK SPACE}%", "3", "50.0\N{NO-BREAK SPACE}%", "0.250"]
    ]
    rows = tables.leaderboard(runs)
    assert tables.metric_names(rows) == ["pixel_aupro", "pixel_aupimo", "pixel_spro"]
    assert table.heading("pixel_spro_0.01") == "sPRO@0.01"
    assert table.heading("pixel_aupro_0.05") == "AUPRO@0.05"
    assert ("pixel metrics", "at original resolution") in views.about_unit(runs[0])


ZONE = {
    "threshold": 0.4, "map_threshold": 0.3, "false_alarm_rate": 0.1, "min_area": 40,
    "validation_normals": 60, "expected_rate": 0.11, "rate_low": 0.05, "rate_high": 0.2,
    "alarms": 9, "test_good": 38, "test_false_alarm_rate": 0.1, "defective": 12, "recall": 0.5,
}  # fmt: skip


def test_zones_are_a_table_and_the_decision_is_theirs() -> None:
    rest = ZONE | {"min_area": 0, "false_alarm_rate": 0.05, "recall": None, "defective": 0}
    runs = [
        a_run("a/b", "glass", seed, zones={"rest": rest, "rim": ZONE | {"threshold": 0.4 + seed}})
        for seed in (0, 1)
    ]
    found = views.zones(runs)
    assert found["head"] == [
        "Zone", "False alarms allowed", "Smallest region", "Validation normals", "Threshold",
        "False alarms", "Recall of defects there",
    ]  # fmt: skip
    plain = [[cell.replace("\N{NBSP}", " ") for cell in row] for row in found["rows"]]
    assert plain == [
        ["rim", "10 %", "40 px", "60", "0.4, 1.4", "10.0 % of 38", "50.0 % of 12"],
        ["rest", "5 %", "–", "60", "0.4, 0.4", "10.0 % of 38", "– of 0"],
    ]
    said = views.operating_point(runs[1], several=True).replace("\N{NBSP}", " ")
    assert said == (
        "Seed 1: each zone at its threshold, set on validation normals: recall 80.0 % of 30 "
        "defective images, false alarms on 10.0 % of 40 good ones; precision 90.0 %, "
        "accuracy 85.0 %."
    )
    assert views.zones([runs[0], a_run("a/b", "glass", 1)])["rows"] == []
    entry = {"label": 0, "score": 0.9, "defect": "good", "image": "x.png", "alarm": False}
    assert views.caption(entry, threshold=0.5)["verdict"] == "passed"
