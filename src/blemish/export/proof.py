"""Does an exported graph decide as the model does? Asked of validation normals and defects."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.export.runtimes import Run
from blemish.predict.trained import TrainedDetector

LEAST = 1e-30  # of a range, for what is all alike
BOUND = 1e-3  # largest difference, as a share of the range of scores, or of the maps' values


def between_scores(threshold: float, normal_scores: Sequence[float]) -> float:
    """A threshold for a graph, a little above the model's.

    That is a normal's own score, which is not above it; last bits must not make it so. Half way to
    the next higher normal at most, and no farther than differences may be. A single normal has no
    range: the threshold itself stands for it.
    """
    above = min((score for score in normal_scores if score > threshold), default=math.inf)
    spread = max(normal_scores) - min(normal_scores) or abs(threshold)
    return threshold + min(spread * BOUND, above - threshold) / 2


@dataclass(frozen=True)
class Difference:
    """Between a graph and PyTorch over some images: the largest of scores and of maps, each also as
    a share of its range, and how many decisions differ."""

    images: int
    score: float
    score_share: float
    map: float
    map_share: float
    flips: int


def compare(detector: TrainedDetector, run: Run, images: Iterable[NDArray[np.uint8]]) -> Difference:
    """Judge each image, uint8 (H, W, 3), by the detector and by the graph."""
    differences, flips, scores, extremes = [], 0, [], []
    for image in images:
        ours = detector.score(image)
        answer = run(image[None])
        apart = float(np.abs(answer.map[0] - ours.map).max())
        differences.append((abs(float(answer.score[0]) - ours.score), apart))
        flips += bool(answer.defective[0]) != ours.defective
        scores.append(ours.score)
        extremes.append((float(ours.map.min()), float(ours.map.max())))
    if not scores:
        raise UserError("no validation images to compare an export with: prepare the unit again")
    lows, highs = zip(*extremes, strict=True)
    score, of_map = (max(column) for column in zip(*differences, strict=True))
    share = score / max(max(scores) - min(scores), LEAST)
    map_share = of_map / max(max(highs) - min(lows), LEAST)
    return Difference(len(scores), score, share, of_map, map_share, flips)


def check(difference: Difference, what: str) -> None:
    """Raise UserError where the graph may not stand for the model."""
    share = max(difference.score_share, difference.map_share)
    if difference.flips or not share <= BOUND:
        raise UserError(
            f"{what} does not decide as the model: {difference.flips} of {difference.images} "
            f"decisions differ, scores by up to {difference.score_share:.2g} and maps by up to "
            f"{difference.map_share:.2g} of their range (bound {BOUND:g}): nothing is exported"
        )
