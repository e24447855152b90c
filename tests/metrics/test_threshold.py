"""Thresholds from validation normals, and what they do on a test set."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blemish.core.errors import UserError
from blemish.metrics.threshold import (
    decision_rates,
    expected_rate,
    operating_point,
    threshold_at,
    threshold_note,
    thresholds_for_use,
)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.floats(0, 1, exclude_max=True),
)
@example([3], 1 - 1e-10)
def test_the_lowest_score_that_keeps_the_rate(scores, rate):
    threshold = threshold_at(scores, rate)
    assert np.mean(np.array(scores) > threshold) <= rate + 1e-9
    lower = [score for score in scores if score < threshold]
    if lower:  # the next lower threshold would raise too many alarms
        assert np.mean(np.array(scores) > max(lower)) > rate


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 100), (0.05, 95), (0.29, 71), (0.009, 100)])
def test_known_thresholds(rate, expected):
    assert threshold_at(np.arange(1, 101), rate) == expected


def test_bad_input_is_named():
    with pytest.raises(UserError, match="no validation normals"):
        threshold_at([], 0.05)
    with pytest.raises(UserError, match="NaN"):
        threshold_at([0.1, np.nan], 0.05)
    for rate in (-0.1, 1.0, 5):
        with pytest.raises(UserError, match=f"false_alarm_rate is {rate}"):
            threshold_at([0.1], rate)


@pytest.mark.parametrize(("normals", "rate"), [(19, 0.05), (70, 0.05), (30, 0.01), (200, 0.2)])
def test_the_expected_rate_is_that_of_new_normals(normals, rate):
    """2,000 validation sets drawn from a known distribution: the true rate of each threshold."""
    drawn = np.random.default_rng(0).random((2000, normals))
    true = 1 - np.array([threshold_at(one, rate) for one in drawn])
    found = expected_rate(normals, rate)
    assert true.mean() == pytest.approx(found["expected_rate"], rel=0.06)
    inside = (true >= found["rate_low"]) & (true <= found["rate_high"])
    assert 0.93 < inside.mean() < 0.97


def test_only_rates_that_can_be_told_get_a_threshold():
    found = thresholds_for_use(np.arange(50.0).tolist())
    assert [one["false_alarm_rate"] for one in found] == [0.02, 0.05, 0.1, 0.2]
    assert [one["threshold"] for one in found] == [48, 47, 44, 39]
    assert found[0]["expected_rate"] == pytest.approx(2 / 51)


def test_the_note_says_what_is_attainable():
    assert threshold_note(20, 0.05) is None
    note = threshold_note(9, 0.05)
    assert note is not None
    assert "9 validation normals" in note
    assert "20 would" in note
    assert "0.1 is to be expected" in note
    assert threshold_note(1000, 0.0) is not None


def test_the_note_agrees_with_simulation():
    """With n normals below the threshold the expected rate on new normals is 1 / (n + 1)."""
    rng = np.random.default_rng(0)
    rates = [
        np.mean(rng.standard_normal(200) > threshold_at(rng.standard_normal(9), 0.05))
        for _ in range(2000)
    ]
    assert np.mean(rates) == pytest.approx(0.1, abs=0.01)


def test_operating_point():
    found = operating_point([0, 0, 0, 1, 1], [0.1, 0.5, 0.7, 0.5, 0.9], 0.5)
    assert found == {
        "precision": 0.5,
        "recall": 0.5,
        "accuracy": 0.6,
        "test_false_alarm_rate": pytest.approx(1 / 3),
    }


def test_an_operating_point_without_alarms_defects_or_good_images():
    assert operating_point([0, 1], [0.1, 0.2], 0.5)["precision"] is None
    assert operating_point([0, 0], [0.1, 0.2], 0.5)["recall"] is None
    assert operating_point([1, 1], [0.1, 0.2], 0.5)["test_false_alarm_rate"] is None
    assert operating_point([], [], 0.5)["accuracy"] is None


def test_rates_of_decisions_that_no_single_score_made():
    labels, alarm = [0, 0, 1, 1, 1], np.array([True, False, True, False, True])
    assert decision_rates(labels, alarm) == {
        "precision": 2 / 3, "recall": 2 / 3, "accuracy": 0.6, "test_false_alarm_rate": 0.5,
    }  # fmt: skip
