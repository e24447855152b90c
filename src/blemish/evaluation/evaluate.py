"""From predictions to the numbers of a run: whole test set, per defect type and per slice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.evaluation.image_table import (
    QUARTERS,
    Headline,
    all_images,
    aupimo_of,
    measure_pixels,
)
from blemish.evaluation.predictions import Predictions
from blemish.metrics import curves
from blemish.metrics.bootstrap import PixelCounts, draw_weights, image_draws, interval, pixel_draws
from blemish.metrics.histograms import PixelHistogram
from blemish.metrics.image_metrics import image_metrics
from blemish.metrics.table import Place, as_floats, is_in, measured, metric_of
from blemish.metrics.threshold import decision_rates, share

Metrics = dict[str, float | None]
Judge = Callable[[pd.Series], Metrics]  # flags of some defective images -> their numbers

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
    headline: Headline,
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
        threshold: an image is called defective where its score is above; where predictions have
            zones with names, any zone's alarm decides.
        resolution: "original" or "model", where anomaly maps meet masks.
        aupro_limit: the false-positive rate up to which PRO is integrated.

    Raises:
        UserError: a score or map that is not finite, or a mask that is missing or does not fit.
    """
    table = all_images(predictions, headline, threshold)
    histograms, counts = measure_pixels(predictions, table, masks, resolution)
    limits = {"pixel_aupro": aupro_limit}
    main, defective = table["headline"], table["label"] == 1

    def detail(chosen: pd.Series) -> Metrics:
        """Of some defective images against all good ones of the main test set."""
        metrics, _ = _measure(table[(main & ~defective) | chosen], histograms, limits)
        kept = {name: value for name, value in metrics.items() if is_in(name, Place.DETAIL)}
        return {"count": int(chosen.sum()), **kept}

    def with_recall(chosen: pd.Series) -> Metrics:
        return {**detail(chosen), "recall": share(table["alarm"][chosen].to_numpy())}

    def per(column: str, of: pd.Series, judge: Judge) -> dict[str, Metrics]:
        names = sorted(set(table[column][of]) - {""})
        return {name: judge(of & (table[column] == name)) for name in names}

    metrics, tables = _measure(table[main], histograms, limits)
    slices = per("slice", defective, detail)
    mean, note = _mean_over_slices(slices, table[main])
    return Evaluation(
        metrics=metrics | mean,
        operating_point=decision_rates(table["label"][main], table["alarm"][main].to_numpy()),
        by_defect=per("defect", main & defective, with_recall),
        slices=slices,
        by_area=_by_area(table, with_recall),
        aupimo=aupimo_of(table, predictions),
        curves=tables,
        draws=_draws(table[main], counts, limits),
        notes=[*_notes(table[main], masks, metrics), *note],
    )


def _measure(
    rows: pd.DataFrame, histograms: dict[int, PixelHistogram], limits: Mapping[str, float]
) -> tuple[Metrics, dict[str, pd.DataFrame]]:
    """All metrics and curves of some rows; those of pixels only if all rows have histograms."""
    images = curves.rank(rows["label"].to_numpy(), rows["score"].to_numpy())
    metrics = image_metrics(rows["label"], rows["score"])
    tables = {"roc": curves.roc_curve(images), "pr": curves.pr_curve(images)}
    parts = sorted(rows["part"].unique())
    if parts and parts[0] >= 0:
        pixels = sum((histograms[part] for part in parts[1:]), histograms[parts[0]]).ranking()
        aupimo = rows["aupimo"][rows["label"] == 1].to_numpy()
        metrics |= as_floats(measured("pixel", replace(pixels, aupimo=aupimo), limits))
        if pixels.regions is not None:
            tables["pro"] = curves.pro_curve(pixels)
    return metrics, {name: curves.thin(curve) for name, curve in tables.items()}


def _draws(main: pd.DataFrame, counts: PixelCounts, limits: Mapping[str, float]) -> pd.DataFrame:
    """The headline metrics on each bootstrap draw, a column each; none that is undefined."""
    if main["label"].nunique() < 2:
        return pd.DataFrame()
    weights = draw_weights(main["object"].tolist(), main["label"].tolist())
    draws = image_draws(main["label"].to_numpy(), main["score"].to_numpy(), weights)
    if (main["part"] >= 0).all():
        draws |= pixel_draws(counts.of(main["counted"].to_numpy()), weights, limits)
    return pd.DataFrame(draws)


def _mean_over_slices(slices: dict[str, Metrics], main: pd.DataFrame) -> tuple[Metrics, list[str]]:
    """MVTec LOCO's sPRO of a category: the mean over its slices, not over its defects.

    Only where each defective image of the main test set belongs to one of at least two slices.
    """
    names = sorted(main["slice"][main["label"] == 1].unique())
    judged = [
        {name: value for name, value in slices.get(part, {}).items() if _of_channels(name)}
        for part in names
    ]
    if len(names) < 2 or not all(judged):
        return {}, []
    means: Metrics = {}
    for name in judged[0]:
        values = [part[name] for part in judged]
        defined = [value for value in values if value is not None]
        means[name] = float(np.mean(defined)) if defined else None
    return means, [SPRO_MEAN.format(" and ".join(names))]


def _of_channels(name: str) -> bool:
    metric = metric_of(name)
    return metric is not None and metric.needs == "channels"


def _by_area(table: pd.DataFrame, judge: Judge) -> dict[str, Metrics]:
    """What `judge` says of each quarter that has images, and the areas it goes from and to."""
    quarters = {}
    for quarter in QUARTERS:
        chosen = table["quarter"] == quarter
        if chosen.any():
            area = table["area"][chosen]
            ends: Metrics = {"area_from": float(area.min()), "area_to": float(area.max())}
            quarters[quarter] = judge(chosen) | ends
    return quarters


def _notes(main: pd.DataFrame, masks: str, metrics: Metrics) -> list[str]:
    notes = {"none": [NO_MASKS], "boxes": [BOXES]}.get(masks, [])
    for label, kind in ((0, "good"), (1, "defective")):
        if not (main["label"] == label).any():
            notes.append(f"The test set has no {kind} images: image metrics are undefined.")
    if metrics.get("pixel_auroc", 0.0) is None:
        notes.append("The test set lacks defective or defect-free pixels: no pixel metrics.")
    return notes
