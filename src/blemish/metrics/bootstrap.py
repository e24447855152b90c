"""How much the numbers would move on another test set of the same kind (Efron's bootstrap).

Test images are drawn again with replacement, by group where several images show one object, and
good and defective ones apart, so that each draw has both. The draws follow from the images' names
alone: all methods and seeds of a unit see the same ones, so that their differences are paired.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.metrics.curves import Ranking
from blemish.metrics.table import measured

if TYPE_CHECKING:
    from blemish.metrics.histograms import PixelHistogram

DRAWS = 1000
BLOCK = 100  # draws at a time: memory is BLOCK × images or bins
LEVEL = 0.95  # of intervals

Weights = NDArray[np.int32]
Counts = NDArray[np.float64]
Draws = dict[str, NDArray[np.float64]]


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The middle `LEVEL` of a number's values on each draw (percentile bootstrap)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def draw_weights(groups: Sequence[str], labels: Sequence[int]) -> Weights:
    """How often each image is drawn: (DRAWS, N).

    groups: (N,) what is drawn as a whole, the image's own name where it has no group.
    """
    frame = pd.DataFrame({"group": list(groups), "label": list(labels)})
    kinds = frame.groupby("group", sort=True)["label"].agg(lambda given: str(sorted(set(given))))
    seed = hashlib.sha256("\n".join(kinds.index).encode()).digest()
    random = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    drawn = pd.DataFrame(index=kinds.index, columns=range(DRAWS), dtype=np.int32)
    for kind in sorted(set(kinds)):
        alike = kinds.index[kinds == kind]
        shares = np.full(len(alike), 1 / len(alike))
        drawn.loc[alike] = random.multinomial(len(alike), shares, size=DRAWS).T
    return drawn.loc[frame["group"]].to_numpy(np.int32).T


def image_draws(
    labels: NDArray[np.integer], scores: NDArray[np.floating], weights: Weights
) -> Draws:
    """The image metrics of each draw: name → (DRAWS,). Empty unless both labels are present."""
    if len(set(np.asarray(labels).tolist())) < 2:
        return {}
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    defective = (labels == 1)[order]

    def rankings() -> Iterator[Ranking]:
        for block in _blocks(weights):
            drawn = block[:, order]
            true = np.cumsum(drawn * defective, axis=1)[:, ends]
            yield Ranking(np.cumsum(drawn * ~defective, axis=1)[:, ends], true)

    return _draws("image", rankings())


COARSE = 1024  # bins an image


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of each image over K coarse bins, from the highest score down.

    normal, anomalous: (N, K) pixels. coverage: (N, K), the sum over an image's defect regions of
    the share that lies in the bin. regions: (N,) how many regions there are.
    """

    normal: Counts
    anomalous: Counts
    coverage: Counts
    regions: Counts

    @classmethod
    def empty(cls, images: int) -> "PixelCounts":
        """For `images` images, nothing counted yet."""
        normal, anomalous, coverage = np.zeros((3, images, COARSE))
        return cls(normal, anomalous, coverage, np.zeros(images))

    def of(self, images: NDArray[np.int64]) -> "PixelCounts":
        """The counts of some images."""
        return PixelCounts(
            self.normal[images], self.anomalous[images], self.coverage[images], self.regions[images]
        )

    def add(self, image: int, histogram: "PixelHistogram") -> None:
        """Add an image's fine histogram."""
        used = np.flatnonzero(histogram.normal + histogram.anomalous)
        size = histogram.binning.size
        coarse = COARSE - 1 - used * COARSE // size
        np.add.at(self.normal[image], coarse, histogram.normal[used])
        np.add.at(self.anomalous[image], coarse, histogram.anomalous[used])
        covered = histogram.regions.above(used)
        if covered is not None:
            np.add.at(self.coverage[image], coarse, np.diff(covered, prepend=0.0))
            self.regions[image] = histogram.regions.regions


def pixel_draws(
    counts: PixelCounts, weights: Weights, limits: Mapping[str, float] | None = None
) -> Draws:
    """The pixel metrics of each draw; `limits` as in `measured`.

    The bins are coarse: good to about a thousandth, far below the intervals' width.
    """

    def rankings() -> Iterator[Ranking]:
        for block in _blocks(weights):
            drawn = block.astype(np.float64)
            yield Ranking(
                np.cumsum(drawn @ counts.normal, axis=1),
                np.cumsum(drawn @ counts.anomalous, axis=1),
                regions=np.cumsum(drawn @ counts.coverage, axis=1)
                / np.maximum(drawn @ counts.regions, 1)[:, None],
            )

    return _draws("pixel", rankings(), limits)


def _draws(
    kind: str, rankings: Iterator[Ranking], limits: Mapping[str, float] | None = None
) -> Draws:
    """The blocks of draws one after the other, without what is undefined on any draw."""
    parts = [measured(kind, ranking, limits) for ranking in rankings]
    columns = {name: [part[name] for part in parts] for name in parts[0]}
    return {
        name: np.concatenate([values for values in blocks if values is not None])
        for name, blocks in columns.items()
        if all(values is not None for values in blocks)
    }


def _blocks(weights: Weights) -> Iterator[Weights]:
    for start in range(0, len(weights), BLOCK):
        yield weights[start : start + BLOCK]
