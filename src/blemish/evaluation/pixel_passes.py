"""Two passes over anomaly maps and masks: histograms, defect areas, AUPIMO of each image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.progress import progress
from blemish.evaluation.predictions import Sample
from blemish.metrics.aupimo import NormalImages
from blemish.metrics.binning import Binning
from blemish.metrics.bootstrap import PixelCounts
from blemish.metrics.histograms import PixelHistogram

Read = Callable[[int], Sample]

QUARTERS = ("q1", "q2", "q3", "q4")  # of the defective images, from the smallest defects up


@dataclass(frozen=True)
class Pixels:
    """The result of both passes over N images.

    Args:
        histograms: one a part, over common bins; parts are sets of images that enter every number
            together. Empty without images.
        part: (N,) the part of each image.
        area: (N,) the defective share of its pixels.
        quarter: (N,) "q1" … "q4" of defect area among the images that count, else "".
        aupimo: (N,) NaN without defective pixels or without normal images.
        counts: of each image of the main test set over coarse bins, for the bootstrap.
    """

    histograms: dict[int, PixelHistogram]
    part: NDArray[np.int64]
    area: NDArray[np.float64]
    quarter: NDArray[np.str_]
    aupimo: NDArray[np.float64]
    counts: PixelCounts


def measure(table: pd.DataFrame, read: Read) -> Pixels:
    """Read every image twice and count its pixels (`docs/spec/measures.md` §5 says why twice).

    Args:
        table: N rows; `label`, `headline` (of the main test set), and `group`, which is equal for
            images that enter every number together but for those of an area quarter.
        read: takes the number of a row to its anomaly map and ground truth.

    Raises:
        UserError: as `read`.
    """
    binning, area = _first_pass(len(table), read)
    defective = (table["label"] == 1).to_numpy()
    quarter = _quarters(area, defective & table["headline"].to_numpy() & (area > 0))
    keys = pd.DataFrame({"group": table["group"].to_numpy(), "quarter": quarter})
    part = keys.groupby(["group", "quarter"]).ngroup().to_numpy()
    histograms = {int(number): PixelHistogram(binning) for number in np.unique(part)}
    normals, aupimo = NormalImages(binning), np.full(len(table), np.nan)
    counts, main = PixelCounts.empty(len(table)), table["headline"].to_numpy()

    def count(number: int, sample: Sample) -> NDArray[np.int64]:
        alone = PixelHistogram(binning)
        defective_bins = alone.update(sample.anomaly_map, sample.mask, sample.channels)
        histograms[part[number]] += alone
        if main[number]:
            counts.add(number, alone)
        return defective_bins

    # Normal images first: the others are judged by the false-positive rates on them.
    good = [number for number in range(len(table)) if not defective[number]]
    for number in _each(good, "pixel metrics, pass 2 of 2, good"):
        sample = read(number)
        count(number, sample)
        normals.update(sample.anomaly_map)
    rates = normals.false_positives()
    for number in _each(np.flatnonzero(defective).tolist(), "pixel metrics, pass 2 of 2, defects"):
        sample = read(number)
        score = rates.aupimo(count(number, sample))
        aupimo[number] = np.nan if score is None else score
    return Pixels(histograms, np.asarray(part, np.int64), area, quarter, aupimo, counts)


def _first_pass(count: int, read: Read) -> tuple[Binning, NDArray[np.float64]]:
    """The bins that fit all maps, and the defective share of every image."""
    coarse, area = PixelHistogram(), np.zeros(count)
    for number in _each(range(count), "pixel metrics, pass 1 of 2"):
        sample = read(number)
        coarse.count(sample.anomaly_map, sample.mask)
        area[number] = sample.mask.mean()
    return coarse.finer_binning(), area


def _quarters(area: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Each counted image's quarter by area; equal areas share one. Fewer than four have none."""
    quarter = np.full(len(area), "", "<U2")
    if np.count_nonzero(counted) >= len(QUARTERS):
        edges = np.quantile(area[counted], [0.25, 0.5, 0.75])
        quarter[counted] = np.array(QUARTERS)[np.searchsorted(edges, area[counted])]
    return quarter


def _each(numbers: Sequence[int], title: str) -> Iterator[int]:
    return progress(numbers, title, len(numbers), "image")
