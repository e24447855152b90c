"""The table of all images that enter an evaluation, and two passes over their pixels."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.evaluation.predictions import Predictions, Sample, has_mask
from blemish.images.feedback import SLICE as FEEDBACK
from blemish.metrics.aupimo import NormalImages
from blemish.metrics.binning import Binning
from blemish.metrics.bootstrap import PixelCounts
from blemish.metrics.histograms import PixelHistogram

QUARTERS = ("q1", "q2", "q3", "q4")  # of the defective images, from the smallest defects up

Headline = Callable[[pd.DataFrame], pd.Series]  # manifest rows -> flags of the main test set
Read = Callable[[int], Sample]  # the number of a row -> its anomaly map and ground truth


def all_images(
    predictions: Sequence[Predictions], headline: Headline, threshold: float = np.inf
) -> pd.DataFrame:
    """The rows of the main test set and all defective ones, in the order of the predictions; those
    whose defects are all ignored are left out. `alarm` is the decision.

    Rows of equal `group` share label, defect type and slice: they enter every number together,
    but for those of area quarters. `object` is what the bootstrap draws as a whole.

    Raises:
        UserError: a score that is NaN or infinite.
    """
    tables = []
    for source, predicted in enumerate(predictions):
        rows = predicted.rows
        table = rows[["image", "label", "defect", "slice"]].reset_index(drop=True)
        table["masked"] = has_mask(rows).to_numpy()
        table["object"] = _objects(rows)
        table["score"] = np.asarray(predicted.scores, np.float64)
        table["alarm"] = predicted.decisions(threshold)
        table["headline"] = np.asarray(headline(rows), bool)
        table["source"], table["position"] = source, np.arange(len(table))
        tables.append(table[~predicted.hidden])
    table = pd.concat(tables, ignore_index=True)
    broken = table["image"][~np.isfinite(table["score"])]
    if len(broken):
        raise UserError(f"{broken.iloc[0]}: its score is NaN or infinite: train again")
    table = table[table["headline"] | (table["label"] == 1)].reset_index(drop=True)
    table["group"] = table.groupby(["headline", "label", "defect", "slice"]).ngroup()
    return table


def measure_pixels(
    predictions: Sequence[Predictions], table: pd.DataFrame, masks: str, resolution: str
) -> tuple[dict[int, PixelHistogram], PixelCounts]:
    """Read every image with a mask twice and count its pixels (`docs/spec/measures.md` §5).

    Returns:
        The histograms of the parts, over common bins: parts are sets of images that enter every
        number together. And the counts of the images of the main test set, for the bootstrap.

    The table gets the columns part (−1: none), area (the defective share of the pixels), quarter
    ("q1" … "q4" by area of the main test set's defective images, else ""), aupimo (NaN without
    defective pixels or without normal images), and counted (the row in the counts; −1: none).

    Raises:
        UserError: a map that is not finite, or a mask that is missing or does not fit.
    """
    numbers = np.flatnonzero(_measurable(table, masks))
    columns = (table[name].tolist() for name in ("source", "position"))
    places: list[tuple[int, int]] = list(zip(*columns, strict=True))

    def read(number: int) -> Sample:
        source, position = places[number]
        return predictions[source].sample(position, resolution)

    binning, area = _first_pass(len(table), numbers, read)
    defective = (table["label"] == 1).to_numpy()
    quarter = _quarters(area, defective & table["headline"].to_numpy() & (area > 0))
    keys = pd.DataFrame({"group": table["group"], "quarter": quarter}).iloc[numbers]
    table["part"], table["counted"] = -1, -1
    table.loc[numbers, "part"] = keys.groupby(["group", "quarter"]).ngroup()
    table.loc[numbers, "counted"] = np.arange(len(numbers))
    table["area"], table["quarter"] = area, quarter
    histograms, counts, table["aupimo"] = _second_pass(table, numbers, read, binning)
    return histograms, counts


def _first_pass(
    count: int, numbers: NDArray[np.int64], read: Read
) -> tuple[Binning, NDArray[np.float64]]:
    """The bins that fit all maps, and the defective share of every image (count,), else NaN."""
    coarse, area = PixelHistogram(), np.full(count, np.nan)
    for number in _each(numbers, "pixel metrics, pass 1 of 2"):
        sample = read(number)
        coarse.count(sample.anomaly_map, sample.mask, sample.judged)
        area[number] = sample.area
    return coarse.finer_binning(), area


def _second_pass(
    table: pd.DataFrame, numbers: NDArray[np.int64], read: Read, binning: Binning
) -> tuple[dict[int, PixelHistogram], PixelCounts, NDArray[np.float64]]:
    """The histograms of the parts, the counts, and the AUPIMO of every row of the table."""
    columns = ("part", "counted", "headline", "label")
    part, counted, main, label = (table[name].to_numpy() for name in columns)
    histograms = {
        int(part_number): PixelHistogram(binning) for part_number in np.unique(part[numbers])
    }
    counts, aupimo = PixelCounts.empty(len(numbers)), np.full(len(table), np.nan)

    def count(number: int, sample: Sample) -> NDArray[np.int64]:
        alone = PixelHistogram(binning)
        defective_bins = alone.update(
            sample.anomaly_map, sample.mask, sample.channels, sample.judged
        )
        histograms[part[number]] += alone
        if main[number]:
            counts.add(counted[number], alone)
        return defective_bins

    # Normal images first: the others are judged by the false-positive rates on them.
    normals = NormalImages(binning)
    for number in _each(numbers[label[numbers] == 0], "pixel metrics, pass 2 of 2, good"):
        sample = read(number)
        count(number, sample)
        normals.update(sample.values)
    rates = normals.false_positives()
    for number in _each(numbers[label[numbers] == 1], "pixel metrics, pass 2 of 2, defects"):
        score = rates.aupimo(count(number, read(number)))
        aupimo[number] = np.nan if score is None else score
    return histograms, counts, aupimo


def _measurable(table: pd.DataFrame, masks: str) -> pd.Series:
    """Which rows get pixel metrics.

    All where masks are promised: a missing one is then an error when it is read, but for defects
    that people confirmed, who need not outline them. Else those of groups in which no defective
    image lacks its mask; none if that leaves good images only.
    """
    defective = table["label"] == 1
    excused = defective & ~table["masked"] & ((masks == "none") | (table["slice"] == FEEDBACK))
    measurable = ~table["group"].isin(table["group"][excused])
    if masks != "none":
        return measurable
    return measurable & bool((measurable & defective).any())


def _quarters(area: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Each counted image's quarter by area; equal areas share one. Fewer than four have none."""
    quarter = np.full(len(area), "", "<U2")
    if np.count_nonzero(counted) >= len(QUARTERS):
        edges = np.quantile(area[counted], [0.25, 0.5, 0.75])
        quarter[counted] = np.array(QUARTERS)[np.searchsorted(edges, area[counted])]
    return quarter


def aupimo_of(table: pd.DataFrame, predictions: Sequence[Predictions]) -> list[NDArray[np.float64]]:
    """The AUPIMO of each image of each of the predictions (N,); NaN where it is undefined."""
    columns = [np.full(len(predicted.rows), np.nan) for predicted in predictions]
    for source, values in enumerate(columns):
        rows = table[table["source"] == source]
        values[rows["position"]] = rows["aupimo"]
    return columns


def _objects(rows: pd.DataFrame) -> NDArray[np.object_]:
    """The group of each image; images without one, as in `blemish metrics`, stand alone."""
    groups = rows.get("group", pd.Series(None, index=rows.index, dtype=object))
    return np.asarray(groups.fillna(rows["image"]), object)


def _each(numbers: NDArray[np.int64], title: str) -> Iterator[int]:
    return progress(numbers.tolist(), title, len(numbers), "image")
