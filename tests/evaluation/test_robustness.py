"""Disturbances do what they say, stronger each time; the curve counts what the threshold does."""

import numpy as np
import pytest
from skimage import data

from blemish.evaluation.disturbances import DISTURBANCES, disturbed
from tests.evaluation.white import metrics_of, results

PHOTO = data.astronaut()[:200, :240]
STEPS = [(name, step) for name in DISTURBANCES for step in range(4)]


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize("name", DISTURBANCES)
def test_each_strength_changes_more_than_the_one_before(name: str) -> None:
    changes = []
    for strength in DISTURBANCES[name].strengths:
        pictures = [disturbed(PHOTO, name, strength, number) for number in range(4)]
        assert all(p.dtype == np.uint8 and p.shape == PHOTO.shape for p in pictures)
        changes.append(np.mean([difference(picture, PHOTO) for picture in pictures]))
    assert changes == sorted(changes)
    assert 0 < changes[0] < changes[-1]


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_the_same_image_is_disturbed_the_same_way(name: str, step: int) -> None:
    strength = DISTURBANCES[name].strengths[step]
    once, again = (disturbed(PHOTO, name, strength, 3) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_disturbances_are_what_they_say() -> None:
    grey = np.full((100, 140, 3), 100, np.uint8)
    lights = {int(disturbed(grey, "gain", 1.2, number)[0, 0, 0]) for number in range(20)}
    assert lights == {120, 83}  # up and down
    noise = disturbed(grey, "noise", 8, 0).astype(float)
    assert abs(noise.std() - 8) < 0.3
    dot = np.zeros((100, 140, 3), np.uint8)
    dot[50, 70] = 255
    moved = disturbed(dot, "shift", 0.1, 0)[:, :, 0].astype(float)
    ys, xs = np.mgrid[:100, :140]
    far = np.hypot((moved * ys).sum() / moved.sum() - 50, (moved * xs).sum() / moved.sum() - 70)
    assert abs(far - 10) < 0.2
    middle = np.zeros((101, 141, 3), np.uint8)
    middle[50, 70] = 255
    assert disturbed(middle, "rotation", 4, 0)[50, 70, 0] > 240  # it turns about its centre
    with pytest.raises(ValueError, match="fog"):
        disturbed(grey, "fog", 1, 0)


@pytest.mark.usefixtures("white")
def test_the_curve_has_a_point_for_each_strength(tmp_path) -> None:
    found = metrics_of(results(tmp_path, evaluation={"robustness": 2}))["robustness"]
    assert found["images"] == {"good": 2, "defective": 2}
    assert [(one["disturbance"], one["step"] - 1) for one in found["curve"]] == STEPS
    for one in [*found["curve"], found["undisturbed"]]:
        assert one["accuracy"] == (1 + one["recall"] - one["false_alarms"]) / 2
        assert 0 <= one["image_auroc"] <= 1
    mean = np.mean([one["accuracy"] for one in found["curve"]])
    assert found["accuracy"] == pytest.approx(float(mean))


@pytest.mark.usefixtures("white")
def test_more_light_makes_a_detector_of_white_cry_wolf(tmp_path) -> None:
    """It calls defective what is white: with half as much light again it does for good images."""
    found = metrics_of(results(tmp_path, evaluation={"robustness": 20}))["robustness"]
    assert found["images"] == {"good": 3, "defective": 6}  # no more than there are
    worst = {one["step"]: one for one in found["curve"] if one["disturbance"] == "gain"}
    assert found["undisturbed"]["false_alarms"] == worst[1]["false_alarms"] == 0
    assert worst[4]["false_alarms"] > 0


@pytest.mark.usefixtures("white")
def test_without_it_nothing_is_said(tmp_path) -> None:
    assert "robustness" not in metrics_of(results(tmp_path))
