"""From predictions to the numbers of a run: whole test set, per defect type and per slice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.errors import UserError
from blemish.evaluation import curves
from blemish.evaluation.histograms import PixelHistogram
from blemish.evaluation.image_metrics import image_metrics
from blemish.evaluation.pixels import QUARTERS, Pixels, measure
from blemish.evaluation.predictions import Predictions, Sample, has_mask
from blemish.evaluation.threshold import operating_point, share

Metrics = dict[str, float | None]

SPRO_LIMITS = (0.05, 0.01, 0.1, 0.3, 1.0)  # false-positive rates, as published; the first is usual
KEPT = ("image_auroc", "pixel_auroc", "pixel_aupro", "pixel_aupimo", "pixel_spro")

NO_MASKS = "This unit has no pixel masks: image metrics only."
SPRO_MEAN = "sPRO is the mean of the slices {}, as MVTec LOCO defines it."
BOXES = "The masks are drawn from boxes: pixel metrics reward filling the box, not the defect."


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one run, as `metrics.json` and `curves/` hold them.

    Args:
        metrics: of the main test set; a value that is undefined is None and a note says why.
        operating_point: precision, recall, accuracy, test_false_alarm_rate at the threshold.
        by_defect, slices: per defect type and per named slice.
        by_area: per quarter "q1" … "q4" of the defective images of the main test set by the share
            of the image that is defective, from area_from to area_to; empty without masks.
        aupimo: of each image of each of the predictions (N,); NaN where it is undefined.
        curves: tables "roc" and "pr" (of images) and, with masks, "pro" (of pixels).
        notes: sentences to print beside the numbers.
    """

    metrics: Metrics
    operating_point: Metrics
    by_defect: dict[str, Metrics]
    slices: dict[str, Metrics]
    by_area: dict[str, Metrics]
    aupimo: list[NDArray[np.float64]]
    curves: dict[str, pd.DataFrame]
    notes: list[str]


def evaluate(
    *predictions: Predictions,
    headline: Callable[[pd.DataFrame], pd.Series],
    masks: str,
    threshold: float,
    resolution: str = "original",
    aupro_limit: float = 0.3,
) -> Evaluation:
    """Evaluate a unit's test predictions, together with those of further slices (weak defects).

    Args:
        predictions: each has its own maps and root folder.
        headline: takes `rows` to the flags (N,) of the main test set. A defect type or a slice is
            judged by its own defective images and all good images of the main test set.
        masks: "pixel", "boxes" (drawn from boxes) or "none": then only slices that have masks of
            their own, such as synthetic ones, get pixel metrics.
        threshold: an image is called defective where its score is above.
        resolution: "original" or "model", where anomaly maps meet masks.
        aupro_limit: the false-positive rate up to which PRO is integrated.

    Raises:
        UserError: a score or map that is not finite, or a mask that is missing or does not fit.
    """
    table = _table(predictions, headline)
    histograms = _measure(predictions, table, masks, resolution)
    defective = table["label"] == 1
    good = table["headline"] & ~defective

    def judge(chosen: pd.Series) -> tuple[Metrics, dict[str, pd.DataFrame]]:
        return _judge(table[chosen], histograms, aupro_limit)

    def summary(own: pd.Series) -> Metrics:
        found, _ = judge(good | own)
        return {"count": int(own.sum())} | {k: v for k, v in found.items() if k.startswith(KEPT)}

    def detailed(own: pd.Series) -> Metrics:
        return summary(own) | {"recall": share((table["score"][own] > threshold).to_numpy())}

    main = table[table["headline"]]
    metrics, tables = judge(table["headline"])
    types = sorted(main["defect"][main["label"] == 1].unique())
    names = sorted(set(table["slice"][defective]) - {""})
    slices = {name: summary(defective & (table["slice"] == name)) for name in names}
    mean, note = _mean_spro(slices, main)
    return Evaluation(
        metrics=metrics | mean,
        operating_point=operating_point(main["label"], main["score"], threshold),
        by_defect={
            one: detailed(table["headline"] & defective & (table["defect"] == one)) for one in types
        },
        slices=slices,
        by_area={
            one: detailed(table["quarter"] == one) | _range(table["area"][table["quarter"] == one])
            for one in QUARTERS
            if (table["quarter"] == one).any()
        },
        aupimo=_by_source(table, predictions),
        curves=tables,
        notes=[*_notes(main, masks, metrics), *note],
    )


def _table(
    predictions: Sequence[Predictions], headline: Callable[[pd.DataFrame], pd.Series]
) -> pd.DataFrame:
    """All rows that count, one line each; rows of equal `group` differ in no name that is asked."""
    tables = []
    for source, one in enumerate(predictions):
        table = one.rows[["image", "label", "defect", "slice"]].reset_index(drop=True)
        table["masked"] = has_mask(one.rows).to_numpy()
        table["score"] = np.asarray(one.scores, np.float64)
        table["headline"] = np.asarray(headline(one.rows), bool)
        table["source"], table["position"] = source, np.arange(len(table))
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    broken = table["image"][~np.isfinite(table["score"])]
    if len(broken):
        raise UserError(f"{broken.iloc[0]}: its score is NaN or infinite: train again")
    table = table[table["headline"] | (table["label"] == 1)].reset_index(drop=True)
    table["group"] = table.groupby(["headline", "label", "defect", "slice"]).ngroup()
    return table


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


def _measure(
    predictions: Sequence[Predictions], table: pd.DataFrame, masks: str, resolution: str
) -> dict[int, PixelHistogram]:
    """The histograms of the parts; the table gets the columns part (−1: none), area, …"""
    chosen = _measurable(table, masks)
    rows = list(zip(table["source"][chosen], table["position"][chosen], strict=True))

    def read(number: int) -> Sample:
        source, position = rows[number]
        return predictions[source].sample(position, resolution)

    found: Pixels = measure(table[chosen], read)
    measured = pd.DataFrame(
        {"part": found.part, "area": found.area, "quarter": found.quarter, "aupimo": found.aupimo},
        index=table.index[chosen],
    ).reindex(table.index)
    table["part"] = measured["part"].fillna(-1).astype(int)
    table["quarter"] = measured["quarter"].fillna("")
    table["area"], table["aupimo"] = measured["area"], measured["aupimo"]
    return found.histograms


def _judge(
    rows: pd.DataFrame, histograms: dict[int, PixelHistogram], aupro_limit: float
) -> tuple[Metrics, dict[str, pd.DataFrame]]:
    """All metrics and curves of some rows; those of pixels only if all rows have histograms."""
    ranking = curves.rank(rows["label"].to_numpy(), rows["score"].to_numpy())
    metrics = image_metrics(rows["label"], rows["score"])
    tables = {"roc": curves.roc_curve(ranking), "pr": curves.pr_curve(ranking)}
    parts = sorted(rows["part"].unique())
    if parts and parts[0] >= 0:
        pixels = sum((histograms[part] for part in parts[1:]), histograms[parts[0]]).ranking()
        metrics |= pixel_metrics(pixels, aupro_limit)
        metrics["pixel_aupimo"] = _mean(rows["aupimo"][rows["label"] == 1])
        if pixels.regions is not None:
            tables["pro"] = curves.pro_curve(pixels)
    return metrics, {name: curves.thin(curve) for name, curve in tables.items()}


def pixel_metrics(pixels: curves.Ranking, aupro_limit: float) -> Metrics:
    """The metrics of a ranking of pixels; those of sPRO only where there are defect channels."""
    aupro = "pixel_aupro" if aupro_limit == 0.3 else f"pixel_aupro_{aupro_limit:g}"
    metrics: Metrics = {
        "pixel_auroc": curves.auroc(pixels),
        "pixel_ap": curves.average_precision(pixels),
        "pixel_f1max": curves.f1max(pixels),
        "pixel_fpr95": curves.fpr_at_tpr(pixels),
        aupro: curves.aupro(pixels, aupro_limit),
    }
    if pixels.channels is not None:
        for limit in SPRO_LIMITS:
            name = "pixel_spro" if limit == SPRO_LIMITS[0] else f"pixel_spro_{limit:g}"
            metrics[name] = curves.auspro(pixels, limit)
    return metrics


def _mean_spro(slices: dict[str, Metrics], main: pd.DataFrame) -> tuple[Metrics, list[str]]:
    """MVTec LOCO's number for a category: the mean over its slices, not over its defects.

    Only where each defective image of the main test set belongs to one of at least two slices.
    """
    names = sorted(main["slice"][main["label"] == 1].unique())
    if len(names) < 2 or any("pixel_spro" not in slices.get(name, {}) for name in names):
        return {}, []
    spro = [name for name in slices[names[0]] if name.startswith("pixel_spro")]
    means = {one: _mean(pd.Series([slices[name][one] for name in names])) for one in spro}
    return means, [SPRO_MEAN.format(" and ".join(names))]


def _mean(values: pd.Series) -> float | None:
    """The mean of the values that are defined, None where none is."""
    defined = values.dropna()
    return float(defined.mean()) if len(defined) else None


def _range(area: pd.Series) -> Metrics:
    return {"area_from": float(area.min()), "area_to": float(area.max())}


def _by_source(
    table: pd.DataFrame, predictions: Sequence[Predictions]
) -> list[NDArray[np.float64]]:
    found = [np.full(len(one.rows), np.nan) for one in predictions]
    for source, values in enumerate(found):
        own = table[table["source"] == source]
        values[own["position"]] = own["aupimo"]
    return found


def _notes(main: pd.DataFrame, masks: str, metrics: Metrics) -> list[str]:
    notes = {"none": [NO_MASKS], "boxes": [BOXES]}.get(masks, [])
    for label, kind in ((0, "good"), (1, "defective")):
        if not (main["label"] == label).any():
            notes.append(f"The test set has no {kind} images: image metrics are undefined.")
    if metrics.get("pixel_auroc", 0.0) is None:
        notes.append("The test set lacks defective or defect-free pixels: no pixel metrics.")
    return notes
