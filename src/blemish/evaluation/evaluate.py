"""From predictions to the numbers of a run: whole test set, per defect type and per slice."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.evaluation.images import all_images, aupimo_of, measure_pixels
from blemish.evaluation.pixels import QUARTERS
from blemish.evaluation.predictions import Predictions
from blemish.metrics import curves
from blemish.metrics.bootstrap import headline_draws
from blemish.metrics.histograms import PixelHistogram
from blemish.metrics.image_metrics import image_metrics
from blemish.metrics.interval import interval
from blemish.metrics.threshold import operating_point, share

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
        draws: the headline metrics on each bootstrap draw of the main test set, a column each.
        notes: sentences to print beside the numbers.
    """

    metrics: Metrics
    operating_point: Metrics
    by_defect: dict[str, Metrics]
    slices: dict[str, Metrics]
    by_area: dict[str, Metrics]
    aupimo: list[NDArray[np.float64]]
    curves: dict[str, pd.DataFrame]
    draws: pd.DataFrame
    notes: list[str]

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each headline metric over other test sets of the same kind."""
        return {str(name): interval(self.draws[name].to_numpy()) for name in self.draws}


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
    table = all_images(predictions, headline)
    histograms, counts = measure_pixels(predictions, table, masks, resolution)
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
        by_area=_by_area(table, detailed),
        aupimo=aupimo_of(table, predictions),
        curves=tables,
        draws=headline_draws(table, counts, aupro_name(aupro_limit), aupro_limit),
        notes=[*_notes(main, masks, metrics), *note],
    )


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


def aupro_name(limit: float) -> str:
    """The metric's name: an unusual limit is part of it."""
    return "pixel_aupro" if limit == 0.3 else f"pixel_aupro_{limit:g}"


def pixel_metrics(pixels: curves.Ranking, aupro_limit: float) -> Metrics:
    """The metrics of a ranking of pixels; those of sPRO only where there are defect channels."""
    metrics: Metrics = {
        "pixel_auroc": curves.auroc(pixels),
        "pixel_ap": curves.average_precision(pixels),
        "pixel_f1max": curves.f1max(pixels),
        "pixel_fpr95": curves.fpr_at_tpr(pixels),
        aupro_name(aupro_limit): curves.aupro(pixels, aupro_limit),
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


def _by_area(table: pd.DataFrame, judge: Callable[[pd.Series], Metrics]) -> dict[str, Metrics]:
    """What `judge` says of each quarter that has images, and the areas it goes from and to."""
    quarters = {one: table["quarter"] == one for one in QUARTERS}
    return {
        one: judge(own) | _range(table["area"][own]) for one, own in quarters.items() if own.any()
    }


def _range(area: pd.Series) -> Metrics:
    return {"area_from": float(area.min()), "area_to": float(area.max())}


def _notes(main: pd.DataFrame, masks: str, metrics: Metrics) -> list[str]:
    notes = {"none": [NO_MASKS], "boxes": [BOXES]}.get(masks, [])
    for label, kind in ((0, "good"), (1, "defective")):
        if not (main["label"] == label).any():
            notes.append(f"The test set has no {kind} images: image metrics are undefined.")
    if metrics.get("pixel_auroc", 0.0) is None:
        notes.append("The test set lacks defective or defect-free pixels: no pixel metrics.")
    return notes
