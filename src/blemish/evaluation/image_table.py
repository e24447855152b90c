"""The table of all images that enter an evaluation, and what is measured on their pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.evaluation.pixel_passes import measure
from blemish.evaluation.predictions import Predictions, Sample, has_mask
from blemish.metrics.bootstrap import PixelCounts
from blemish.metrics.histograms import PixelHistogram


def all_images(
    predictions: Sequence[Predictions], headline: Callable[[pd.DataFrame], pd.Series]
) -> pd.DataFrame:
    """The rows of the main test set and all defective ones, in the order of the predictions.

    Rows of equal `group` share label, defect type and slice: they enter every number together.

    Raises:
        UserError: a score that is NaN or infinite.
    """
    tables = []
    for source, predicted in enumerate(predictions):
        rows = predicted.rows
        table = rows[["image", "label", "defect", "slice"]].reset_index(drop=True)
        table["masked"] = has_mask(rows).to_numpy()
        # What bootstrap draws as a whole: the images of one object, or the image itself.
        table["object"] = _objects(rows)
        table["score"] = np.asarray(predicted.scores, np.float64)
        table["headline"] = np.asarray(headline(rows), bool)
        table["source"], table["position"] = source, np.arange(len(table))
        tables.append(table)
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
    """The histograms of the parts, and the counts of the table's images.

    The table gets the columns part (−1: none), area, quarter, aupimo and counted (−1: not).
    """
    chosen = _measurable(table, masks)
    places = (table[name][chosen].tolist() for name in ("source", "position"))
    rows: list[tuple[int, int]] = list(zip(*places, strict=True))

    def read(number: int) -> Sample:
        source, position = rows[number]
        return predictions[source].sample(position, resolution)

    pixels = measure(table[chosen], read)
    columns = {name: getattr(pixels, name) for name in ("part", "area", "quarter", "aupimo")}
    measured = pd.DataFrame(columns, index=table.index[chosen]).reindex(table.index)
    table["part"] = measured["part"].fillna(-1).astype(int)
    table["quarter"] = measured["quarter"].fillna("")
    table["area"], table["aupimo"] = measured["area"], measured["aupimo"]
    table["counted"] = -1
    table.loc[chosen, "counted"] = np.arange(len(rows))
    return pixels.histograms, pixels.counts


def _measurable(table: pd.DataFrame, masks: str) -> pd.Series:
    """Which rows get pixel metrics.

    All where masks are promised: a missing one is then an error when it is read. Else those of
    groups in which no defective image lacks its mask; none if that leaves good images only.
    """
    defective = table["label"] == 1
    if masks != "none":
        return defective | True
    unmasked = table["group"][defective & ~table["masked"]]
    measurable = ~table["group"].isin(unmasked)
    return measurable & bool((measurable & defective).any())


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
