"""What the stage `evaluate` writes for one trained model: numbers, scores, curves, heat maps."""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from blemish.core.device import choose_device
from blemish.core.files import write_json
from blemish.core.params import EvaluationParams, TrainingParams
from blemish.evaluation.animation import write_animation
from blemish.evaluation.evaluate import Evaluation, Metrics, evaluate
from blemish.evaluation.heatmaps import scale_of, scored_rows, write_heatmaps
from blemish.evaluation.oracle import as_published
from blemish.evaluation.predict import predict, predict_published
from blemish.evaluation.predictions import Predictions
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.reading import read_image
from blemish.images.store import IN_MEMORY, ImageStore
from blemish.methods.detector import AnyDetector, views_of
from blemish.methods.saved import Record, load
from blemish.metrics.threshold import expected_rate, threshold_at, threshold_note

WEAK = "weak-"  # the slices of the weak-defect sets are named weak-<β>


def write_results(
    model: Path,
    prepared: Path,
    synthetic: Path,
    params: EvaluationParams,
    training: TrainingParams,
    folder: Path,
    store: ImageStore = IN_MEMORY,
) -> None:
    """Evaluate the model in `model` and fill `folder`.

    The test set is scored once, and nothing it says flows back: the threshold comes from the
    validation normals whose scores the model carries.
    """
    method, record = load(model, choose_device(training.device, training.threads))
    unit, made = read_manifest(prepared), read_manifest(synthetic)
    score = partial(predict, scratch=folder, store=store)
    test = score(method, unit, unit.of("test"), "test")
    weak = score(method, made, made.of("weak"), "weak defects")
    validation = [
        score(method, unit, unit.of("val", 0), "validation normals"),
        score(method, made, made.of("validation"), "validation defects"),
    ]
    threshold = threshold_at(record.validation.normal_scores, params.false_alarm_rate)
    extra = [*unit.facts.extra_slices, *made.facts.extra_slices]

    def headline(rows: pd.DataFrame) -> pd.Series:
        return ~rows["slice"].isin(extra)

    settings: dict[str, Any] = {
        "threshold": threshold,
        "resolution": params.resolution,
        "aupro_limit": params.aupro_limit,
    }
    found = evaluate(test, weak, headline=headline, masks=unit.facts.masks, **settings)
    checked = evaluate(*validation, headline=_all_rows, masks="pixel", **settings)
    numbers = {
        "input_size": [method.framing.size, method.framing.size],
        "masks": unit.facts.masks,
        "counts": _counts(unit, headline),
        "validation": _summary(checked),
        **_numbers(found, record, params, threshold, unit.facts.notes),
    }
    if params.protocol == "paper" and (protocol := method.author_protocol(record.unit)):
        main = test.rows[headline(test.rows)]
        again = partial(predict_published, method, unit, main, "test", scratch=folder, store=store)
        numbers["oracle"] = as_published(
            method, protocol, model, test, again, headline, unit.facts.masks
        )
    write_json(folder / "metrics.json", numbers)
    aupimo = [*found.aupimo, *checked.aupimo]
    _write_scores([test, weak, *validation], aupimo, headline, threshold, folder / "scores.parquet")
    _write_curves(found, folder / "curves")
    # Rounded: a method's draws are subtracted from another's, and need no more digits.
    found.draws.round(6).to_parquet(folder / "bootstrap.parquet", index=False)
    thresholds = (threshold, record.validation.map_threshold(params.false_alarm_rate))
    _write_pictures(method, test, headline, thresholds, params, folder)


def _write_pictures(
    method: AnyDetector,
    test: Predictions,
    headline: Callable[[pd.DataFrame], pd.Series],
    thresholds: tuple[float, float],
    params: EvaluationParams,
    folder: Path,
) -> None:
    """Heat maps with the method's own views, and the test set in motion."""
    shown = (folder / "heatmaps", params.heatmaps, partial(_views, method))
    write_json(folder / "heatmaps.json", write_heatmaps(test, headline, thresholds, *shown))
    rows = scored_rows(test, headline)
    if params.animation and len(rows):
        scale = scale_of(test, rows, thresholds)
        write_animation(test, rows, scale, folder / "animation.gif", params.animation)


def _numbers(
    found: Evaluation,
    record: Record,
    params: EvaluationParams,
    threshold: float,
    notes: tuple[str, ...],
) -> dict[str, Any]:
    """What was measured on the test set, and under which rules."""
    normals, rate = len(record.validation.normal_scores), params.false_alarm_rate
    note = threshold_note(normals, rate)
    return {
        "unit": record.unit,
        "method": record.method,
        "seed": record.seed,
        "protocol": "honest",  # of these numbers; protocol `paper` adds its own under "oracle"
        "resolution": params.resolution,
        "metrics": found.metrics,
        "intervals": found.intervals,
        "threshold": {
            "image": threshold,
            "false_alarm_rate": rate,
            "validation_normals": normals,
            **expected_rate(normals, rate),
            **found.operating_point,
        },
        "by_defect": found.by_defect,
        "slices": found.slices,
        "by_area": found.by_area,
        "weak_curve": _weak_curve(found.slices),
        "notes": [*found.notes, *notes, *([note] if note else [])],
    }


def _weak_curve(slices: dict[str, Metrics]) -> list[dict[str, float | None]]:
    """The metrics of the weak-defect sets by β, the weight of the normal image under a defect."""
    points = [
        {"beta": float(name.removeprefix(WEAK)), **found}
        for name, found in slices.items()
        if name.startswith(WEAK)
    ]
    return sorted(points, key=itemgetter("beta"))


def _views(method: AnyDetector, image: Path) -> dict[str, NDArray[np.uint8]]:
    """The method's own pictures of an image file."""
    return views_of(method, torch.from_numpy(method.framing.to_model(read_image(image))))


def _all_rows(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(np.ones(len(rows), dtype=bool), index=rows.index)


def _summary(checked: Evaluation) -> dict[str, float | None]:
    kept = ("image_auroc", "pixel_auroc", "pixel_aupro")
    return {name: value for name, value in checked.metrics.items() if name.startswith(kept)}


def _counts(unit: Manifest, headline: Any) -> dict[str, int]:
    test = unit.of("test")
    main = test[headline(test)]
    return {
        "train": len(unit.of("train", 0)),
        "val": len(unit.of("val", 0)),
        "test_good": int((main["label"] == 0).sum()),
        "test_defective": int((main["label"] == 1).sum()),
    }


def _write_scores(
    parts: list[Predictions],
    aupimo: list[NDArray[np.float64]],
    headline: Any,
    threshold: float,
    path: Path,
) -> None:
    """One row an image; `headline` marks the main test set."""
    tables = []
    for part, pimo in zip(parts, aupimo, strict=True):
        table = part.rows[["image", "split", "label", "defect", "slice"]].copy()
        table["headline"] = headline(part.rows) & (part.rows["split"] == "test")
        table["score"] = part.scores
        table["decision"] = (part.scores > threshold).astype(np.int8)
        table["aupimo"] = pimo
        tables.append(table)
    pd.concat(tables, ignore_index=True).to_parquet(path, index=False)


def _write_curves(found: Evaluation, folder: Path) -> None:
    folder.mkdir()
    for name, curve in found.curves.items():
        curve.to_csv(folder / f"{name}.csv", index=False, float_format="%.7g")
