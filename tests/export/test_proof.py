"""A graph that decides unlike its model is refused, in one line."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import blemish
from blemish.core.errors import UserError
from blemish.export.proof import BOUND, between_scores, check, compare
from blemish.export.runtimes import Answer
from blemish.predict.trained import TrainedDetector

pytestmark = pytest.mark.usefixtures("bright")
Images = NDArray[np.uint8]


@pytest.fixture
def detector(model: Path) -> TrainedDetector:
    """Its score is ten times the highest brightness, from 0 to 1; above 4.9 is defective."""
    return blemish.load(model, device="cpu")


def answer(detector: TrainedDetector, images: Images, score: float, level: float) -> Answer:
    """What the detector says, moved by so much."""
    verdicts = detector.score(list(images))
    scores = np.array([verdict.score + score for verdict in verdicts])
    maps = np.stack([verdict.map + np.float32(level) for verdict in verdicts])
    return Answer(scores, scores > detector.rules.threshold, maps)


def images() -> list[Images]:
    return [np.full((8, 8, 3), level, np.uint8) for level in (0, 100, 124, 255)]


def test_differences_are_shares_of_the_range(detector: TrainedDetector) -> None:
    found = compare(detector, lambda given: answer(detector, given, 0.005, -0.0004), images())
    assert (found.images, found.flips) == (4, 0)
    assert found.score == pytest.approx(0.005)
    assert found.score_share == pytest.approx(0.0005)
    assert found.map_share == pytest.approx(0.0004, rel=1e-3)
    check(found, "a graph")


@pytest.mark.parametrize(
    ("score", "level", "said"),
    [
        (0.02, 0.0, "0 of 4 decisions differ, scores by up to 0.002"),
        (0.0, 0.0015, "maps by up to 0.0015"),
        (0.1, 0.0, "1 of 4 decisions differ"),
        (float("nan"), 0.0, "decisions differ"),
    ],
)
def test_what_is_refused(detector: TrainedDetector, score: float, level: float, said: str) -> None:
    assert BOUND == 1e-3
    found = compare(detector, lambda given: answer(detector, given, score, level), images())
    with pytest.raises(UserError, match=said):
        check(found, "a graph")


def test_nothing_to_compare(detector: TrainedDetector) -> None:
    with pytest.raises(UserError, match="no validation images"):
        compare(detector, lambda given: answer(detector, given, 0, 0), [])


def test_the_graphs_threshold_is_nobodys_score() -> None:
    assert between_scores(2.0, [1.0, 2.0, 11.0]) == pytest.approx(2.005)  # BOUND of the range
    assert between_scores(2.0, [1.0, 2.0, 2.0001, 11.0]) == pytest.approx(2.00005)
    assert between_scores(2.0, [2.0]) == pytest.approx(2.001)
    assert between_scores(11.0, [1.0, 11.0]) == pytest.approx(11.005)
