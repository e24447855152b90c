"""From predictions to the numbers of a run: whole test set, per defect type and per slice."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from blemish.errors import UserError
from blemish.evaluation import curves
from blemish.evaluation.histograms import PixelHistogram
from blemish.evaluation.image_metrics import image_metrics
from blemish.evaluation.predictions import Map, Mask, Predictions
from blemish.evaluation.threshold import operating_point, share
from blemish.progress import progress

Metrics = dict[str, float | None]

NO_MASKS = "This unit has no pixel masks: image metrics only."
BOXES = "The masks are drawn from boxes: pixel metrics reward filling the box, not the defect."


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one run, as `metrics.json` and `curves/` hold them.

    Args:
        metrics: of the main test set; a value that is undefined is None and a note says why.
        operating_point: precision, recall, accuracy, test_false_alarm_rate at the threshold.
        by_defect, slices: per defect type and per named slice.
        curves: tables "roc" and "pr" (of images) and, with masks, "pro" (of pixels).
        notes: sentences to print beside the numbers.
    """

    metrics: Metrics
    operating_point: Metrics
    by_defect: dict[str, Metrics]
    slices: dict[str, Metrics]
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
    histograms = _histograms(predictions, table[_measurable(table, masks)], resolution)
    defective = table["label"] == 1
    good = table["headline"] & ~defective

    def judge(chosen: pd.Series) -> tuple[Metrics, dict[str, pd.DataFrame]]:
        return _judge(table[chosen], histograms, aupro_limit)

    def summary(own: pd.Series) -> Metrics:
        found, _ = judge(good | own)
        kept = ("image_auroc", "pixel_auroc", "pixel_aupro")
        return {"count": int(own.sum())} | {k: v for k, v in found.items() if k.startswith(kept)}

    main = table[table["headline"]]
    metrics, tables = judge(table["headline"])
    by_defect = {}
    for defect in sorted(main["defect"][main["label"] == 1].unique()):
        own = table["headline"] & defective & (table["defect"] == defect)
        recall = share((table["score"][own] > threshold).to_numpy())
        by_defect[defect] = summary(own) | {"recall": recall}
    names = sorted(set(table["slice"][defective]) - {""})
    return Evaluation(
        metrics=metrics,
        operating_point=operating_point(main["label"], main["score"], threshold),
        by_defect=by_defect,
        slices={name: summary(defective & (table["slice"] == name)) for name in names},
        curves=tables,
        notes=_notes(main, masks, metrics),
    )


def _table(
    predictions: Sequence[Predictions], headline: Callable[[pd.DataFrame], pd.Series]
) -> pd.DataFrame:
    """All rows that count, one line each; rows of equal `part` enter every number together."""
    tables = []
    for source, one in enumerate(predictions):
        table = one.rows[["image", "mask", "label", "defect", "slice"]].reset_index(drop=True)
        table["score"] = np.asarray(one.scores, np.float64)
        table["headline"] = np.asarray(headline(one.rows), bool)
        table["source"], table["position"] = source, np.arange(len(table))
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    broken = table["image"][~np.isfinite(table["score"])]
    if len(broken):
        raise UserError(f"{broken.iloc[0]}: its score is NaN or infinite: train again")
    table = table[table["headline"] | (table["label"] == 1)].reset_index(drop=True)
    table["part"] = table.groupby(["headline", "label", "defect", "slice"]).ngroup()
    return table


def _measurable(table: pd.DataFrame, masks: str) -> pd.Series:
    """Which rows get pixel metrics.

    All where masks are promised: a missing one is then an error when it is read. Else those of
    parts in which no defective image lacks its mask; none if that leaves good images only.
    """
    defective = table["label"] == 1
    if masks != "none":
        return defective | True
    unmasked = table["part"][defective & table["mask"].isna()]
    measurable = ~table["part"].isin(unmasked)
    return measurable & bool((measurable & defective).any())


def _histograms(
    predictions: Sequence[Predictions], table: pd.DataFrame, resolution: str
) -> dict[int, PixelHistogram]:
    """One histogram a part, over common bins, from two passes over all maps."""

    def images(title: str) -> Iterator[tuple[int, Map, Mask]]:
        rows = list(zip(table["source"], table["position"], table["part"], strict=True))
        for source, position, part in progress(rows, title, len(rows), "image"):
            yield part, *predictions[source].pixels(position, resolution)

    coarse = PixelHistogram()
    for _, anomaly_map, mask in images("pixel metrics, pass 1 of 2"):
        coarse.update(anomaly_map, mask)
    binning = coarse.finer_binning()
    histograms = {int(part): PixelHistogram(binning) for part in table["part"].unique()}
    for part, anomaly_map, mask in images("pixel metrics, pass 2 of 2"):
        histograms[part].update(anomaly_map, mask)
    return histograms


def _judge(
    rows: pd.DataFrame, histograms: dict[int, PixelHistogram], aupro_limit: float
) -> tuple[Metrics, dict[str, pd.DataFrame]]:
    """All metrics and curves of some rows; those of pixels only if all rows have histograms."""
    ranking = curves.rank(rows["label"].to_numpy(), rows["score"].to_numpy())
    metrics = image_metrics(rows["label"], rows["score"])
    tables = {"roc": curves.roc_curve(ranking), "pr": curves.pr_curve(ranking)}
    parts = sorted(rows["part"].unique())
    if parts and histograms.keys() >= set(parts):
        pixels = sum((histograms[part] for part in parts[1:]), histograms[parts[0]]).ranking()
        aupro = "pixel_aupro" if aupro_limit == 0.3 else f"pixel_aupro_{aupro_limit:g}"
        metrics |= {
            "pixel_auroc": curves.auroc(pixels),
            "pixel_ap": curves.average_precision(pixels),
            "pixel_f1max": curves.f1max(pixels),
            "pixel_fpr95": curves.fpr_at_tpr(pixels),
            aupro: curves.aupro(pixels, aupro_limit),
        }
        tables["pro"] = curves.pro_curve(pixels)
    return metrics, {name: curves.thin(curve) for name, curve in tables.items()}


def _notes(main: pd.DataFrame, masks: str, metrics: Metrics) -> list[str]:
    notes = {"none": [NO_MASKS], "boxes": [BOXES]}.get(masks, [])
    for label, kind in ((0, "good"), (1, "defective")):
        if not (main["label"] == label).any():
            notes.append(f"The test set has no {kind} images: image metrics are undefined.")
    if metrics.get("pixel_auroc", 0.0) is None:
        notes.append("The test set lacks defective or defect-free pixels: no pixel metrics.")
    return notes
