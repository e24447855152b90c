"""How much the numbers would move on another test set of the same kind (Efron's bootstrap).

Test images are drawn again with replacement, by group where several images show one object, and
good and defective ones apart, so that each draw has both. The draws follow from the images' names
alone: all methods and seeds of a unit see the same ones, so that their differences are paired.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.metrics.histograms import PixelHistogram

DRAWS = 1000
BLOCK = 100  # draws at a time: memory is BLOCK × images or bins

Counts = NDArray[np.float64]


def draw_weights(groups: Sequence[str], labels: Sequence[int]) -> NDArray[np.int32]:
    """How often each image is drawn: (DRAWS, N).

    groups: (N,) what is drawn as a whole, the image's own name where it has no group.
    """
    frame = pd.DataFrame({"group": list(groups), "label": list(labels)})
    kinds = frame.groupby("group", sort=True)["label"].agg(lambda own: str(sorted(set(own))))
    seed = hashlib.sha256("\n".join(kinds.index).encode()).digest()
    random = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    drawn = pd.DataFrame(index=kinds.index, columns=range(DRAWS), dtype=np.int32)
    for kind in sorted(set(kinds)):
        own = kinds.index[kinds == kind]
        shares = np.full(len(own), 1 / len(own))
        drawn.loc[own] = random.multinomial(len(own), shares, size=DRAWS).T
    return drawn.loc[frame["group"]].to_numpy(np.int32).T


def image_draws(
    labels: NDArray[np.integer], scores: NDArray[np.floating], weights: NDArray[np.int32]
) -> dict[str, NDArray[np.float64]]:
    """The image metrics of each draw: name → (DRAWS,). Empty unless both labels are present."""
    if len(set(np.asarray(labels).tolist())) < 2:
        return {}
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    defective = (labels == 1)[order]

    def rankings() -> Iterator[tuple[Counts, Counts]]:
        for block in _blocks(weights):
            drawn = block[:, order].astype(np.float64)
            found = np.cumsum(drawn * defective, axis=1)[:, ends]
            yield np.cumsum(drawn * ~defective, axis=1)[:, ends], found

    parts = [_metrics(false, true, "image") for false, true in rankings()]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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

    def add(self, image: int, own: PixelHistogram) -> None:
        """Take an image's own fine histogram together."""
        used = np.flatnonzero(own.normal + own.anomalous)
        size = own.binning.size
        coarse = COARSE - 1 - used * COARSE // size
        np.add.at(self.normal[image], coarse, own.normal[used])
        np.add.at(self.anomalous[image], coarse, own.anomalous[used])
        covered = own.regions.above(used)
        if covered is not None:
            np.add.at(self.coverage[image], coarse, np.diff(covered, prepend=0.0))
            self.regions[image] = own.regions.regions


def pixel_draws(
    counts: PixelCounts, weights: NDArray[np.int32], aupro: str, limit: float
) -> dict[str, NDArray[np.float64]]:
    """The pixel metrics of each draw; `aupro` is the name of PRO's area up to `limit`.

    The bins are coarse: good to about a thousandth, far below the intervals' width.
    """
    if not counts.anomalous.any() or not counts.normal.any():
        return {}
    parts = []
    for block in _blocks(weights):
        drawn = block.astype(np.float64)
        false = np.cumsum(drawn @ counts.normal, axis=1)
        part = _metrics(false, np.cumsum(drawn @ counts.anomalous, axis=1), "pixel")
        covered = np.cumsum(drawn @ counts.coverage, axis=1) / (drawn @ counts.regions)[:, None]
        part[aupro] = _areas(false / false[:, -1:], covered, limit) / limit
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def headline_draws(
    table: pd.DataFrame, counts: PixelCounts, aupro: str, limit: float
) -> pd.DataFrame:
    """The headline metrics on each draw, a column each; none that is undefined.

    table: as blemish.evaluation.images makes it.
    """
    main = table[table["headline"]]
    if main["label"].nunique() < 2:
        return pd.DataFrame()
    weights = draw_weights(main["object"].tolist(), main["label"].tolist())
    draws = image_draws(main["label"].to_numpy(), main["score"].to_numpy(), weights)
    if (main["part"] >= 0).all():
        draws |= pixel_draws(counts.of(main["counted"].to_numpy()), weights, aupro, limit)
    return pd.DataFrame(draws)


def _blocks(weights: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    for start in range(0, len(weights), BLOCK):
        yield weights[start : start + BLOCK]


def _metrics(false: Counts, true: Counts, kind: str) -> dict[str, NDArray[np.float64]]:
    """As blemish.metrics.curves defines them, for rows of cumulative counts (B, K)."""
    fpr, tpr = false / false[:, -1:], true / true[:, -1:]
    steps = np.diff(tpr, axis=1, prepend=0.0)
    precision = true / np.maximum(true + false, 1e-12)
    first = np.argmax(tpr >= 0.95, axis=1)
    return {
        f"{kind}_auroc": _areas(fpr, tpr, 1.0),
        f"{kind}_ap": (steps * precision).sum(axis=1),
        f"{kind}_f1max": (2 * true / (true[:, -1:] + true + false)).max(axis=1),
        f"{kind}_fpr95": fpr[np.arange(len(fpr)), first],
    }


def _areas(x: Counts, y: Counts, limit: float) -> NDArray[np.float64]:
    """Trapezoid areas under (0, 0), (x, y) … up to `limit`, interpolated there; (B, K) → (B,)."""
    start = np.zeros((len(x), 1))
    x, y = np.hstack([start, x]), np.hstack([start, y])
    width = np.diff(np.minimum(x, limit), axis=1)
    rise = np.diff(y, axis=1)
    # Of the segment that crosses the limit only the share up to it counts.
    full = np.diff(x, axis=1)
    share = np.divide(width, full, out=np.zeros_like(width), where=full > 0)
    return (width * (y[:, :-1] + rise * share / 2)).sum(axis=1)
