"""What the stage `evaluate` writes for one trained model: numbers, scores, curves, heat maps."""

import sys
from collections.abc import Callable, Sequence
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
from blemish.evaluation.image_table import Headline
from blemish.evaluation.paper_protocol import as_published
from blemish.evaluation.predictions import Predictions
from blemish.evaluation.published_measures import aupro_limit, own_metrics
from blemish.evaluation.robustness import Score, robustness
from blemish.evaluation.scoring import Change, score_as_published, score_images
from blemish.evaluation.selection import selection_numbers
from blemish.evaluation.warning import early_warning
from blemish.evaluation.zone_decisions import (
    by_zone,
    decided,
    hidden_note,
    names_of_alarms,
    notes_of,
    rules_of,
)
from blemish.images.framing import partly_seen
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.reading import read_image
from blemish.images.store import IN_MEMORY, ImageStore
from blemish.methods.detector import AnyDetector
from blemish.methods.saved import Record, load
from blemish.methods.scoring import views_of
from blemish.methods.zone_rules import ZoneRule
from blemish.metrics.table import Place, is_in
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
    rules = rules_of(record, unit, params.false_alarm_rate)
    score = partial(score_images, method, scratch=folder, store=store)
    parts = [decided(each, rules) for each in _scored(score, unit, made)]
    test, weak, normals, drawn, *real = parts
    hidden = test.rows["image"][test.hidden]
    threshold = threshold_at(record.validation.normal_scores, params.false_alarm_rate)
    extra = [*unit.facts.extra_slices, *made.facts.extra_slices]

    def headline(rows: pd.DataFrame) -> pd.Series:
        return ~rows["slice"].isin(extra) & ~rows["image"].isin(hidden)

    masks, scores = unit.facts.masks, folder / "scores.parquet"
    judge = partial(
        evaluate,
        threshold=threshold,
        resolution=params.resolution,
        aupro_limit=aupro_limit(record.unit, params.aupro_limit),
    )
    tested = judge(test, weak, headline=headline, masks=masks)
    checked = judge(normals, drawn, headline=_all_rows, masks="pixel")
    numbers = _numbers(tested, checked, record, params, unit, headline)
    aupimo = [*tested.aupimo, *checked.aupimo]
    for defects in real:
        found = judge(normals, defects, headline=_all_rows, masks=masks)
        numbers["selection"] = selection_numbers(found, defects, record.validation, threshold)
        aupimo.append(found.aupimo[1])
    if rules:
        numbers["zones"] = by_zone(test, rules, headline)
    numbers["notes"] += [*notes_of(rules), *hidden_note(test, extra), *_cut_off(method, test)]
    if masks != "none":
        _add_own_metrics(numbers, test, headline, normals)
    numbers |= {"input_size": list(method.framing.window), "framing": method.framing.said}
    numbers["warning"] = _warned(checked, record)
    if params.robustness:
        changed = _disturbed_scores(method, rules)
        numbers["robustness"] = robustness(changed, unit, made, params.robustness, threshold)
    if params.protocol == "paper":
        again = partial(score_as_published, scratch=folder, store=store)
        numbers |= _oracle(method, unit, model, test, headline, again)
    write_json(folder / "metrics.json", numbers)
    _write_scores(parts, aupimo, headline, threshold, rules, scores)
    _write_curves(tested, folder)
    thresholds = (threshold, record.validation.map_threshold(params.false_alarm_rate))
    _write_pictures(method, test, headline, thresholds, rules, params, folder)


def _cut_off(method: AnyDetector, test: Predictions) -> list[str]:
    sizes = zip(test.rows["height"], test.rows["width"], strict=True)
    return list(partly_seen(method.framing.seen(*size) for size in sizes))


def _add_own_metrics(
    numbers: dict[str, Any], test: Predictions, headline: Headline, normals: Predictions
) -> None:
    """Add what a data set measures besides."""
    shown = np.flatnonzero(headline(test.rows)).tolist()
    own, said = own_metrics(numbers["unit"], test, shown, normals, numbers["resolution"])
    numbers["metrics"] |= own
    numbers["notes"] += said


def _oracle(
    method: AnyDetector,
    unit: Manifest,
    model: Path,
    test: Predictions,
    headline: Headline,
    score: Callable[..., list[Predictions]],
) -> dict[str, Any]:
    """The key `oracle`, where the method's authors choose by the test set; else nothing."""
    protocol = method.author_protocol(unit.facts.unit)
    if not protocol:
        return {}
    again = partial(score, method, unit, test.rows[headline(test.rows)], "test")
    masks = unit.facts.masks
    return {"oracle": as_published(method, protocol, model, test, again, headline, masks)}


def _disturbed_scores(method: AnyDetector, rules: Sequence[ZoneRule]) -> Score:
    def score(manifest: Manifest, rows: pd.DataFrame, change: Change) -> Predictions:
        return decided(score_images(method, manifest, rows, "disturbed", change=change), rules)

    return score


def _scored(
    score: Callable[[Manifest, pd.DataFrame, str], Predictions], unit: Manifest, made: Manifest
) -> list[Predictions]:
    """The test set, weak defects, validation normals and defects; real defects for choosing, where
    there are any."""
    real = unit.of("val", 1)
    return [
        score(unit, unit.of("test"), "test"),
        score(made, made.of("weak"), "weak defects"),
        score(unit, unit.of("val", 0), "validation normals"),
        score(made, made.of("validation"), "validation defects"),
        *([score(unit, real, "real defects for choosing")] if len(real) else []),
    ]


def _numbers(
    tested: Evaluation,
    checked: Evaluation,
    record: Record,
    params: EvaluationParams,
    unit: Manifest,
    headline: Headline,
) -> dict[str, Any]:
    """What was measured on the test set and the validation set, and under which rules."""
    normals, rate = len(record.validation.normal_scores), params.false_alarm_rate
    note = None if unit.facts.zones else threshold_note(normals, rate)  # there zones decide
    return {
        "unit": record.unit,
        "method": record.method,
        "seed": record.seed,
        "protocol": "honest",  # of these numbers; protocol `paper` adds its own under "oracle"
        "resolution": params.resolution,
        "masks": unit.facts.masks,
        "counts": _counts(unit, headline),
        "metrics": tested.metrics,
        "intervals": tested.intervals,
        "validation": {
            name: value for name, value in checked.metrics.items() if is_in(name, Place.VALIDATION)
        },
        "threshold": {
            "image": threshold_at(record.validation.normal_scores, rate),
            "false_alarm_rate": rate,
            "validation_normals": normals,
            **expected_rate(normals, rate),
            **tested.operating_point,
        },
        "by_defect": tested.by_defect,
        "slices": tested.slices,
        "by_area": tested.by_area,
        "weak_curve": _weak_curve(tested.slices),
        "notes": [*tested.notes, *unit.facts.notes, *([note] if note else [])],
    }


def _warned(checked: Evaluation, record: Record) -> str | None:
    """The early warning, which the terminal shows too; None where there is nothing to warn of."""
    warning = early_warning(checked.metrics.get("image_auroc"))
    if warning:
        print(f"{record.unit} {record.method} seed {record.seed}: {warning}", file=sys.stderr)
    return warning


def _weak_curve(slices: dict[str, Metrics]) -> list[dict[str, float | None]]:
    """The metrics of the weak-defect sets by β, the weight of the normal image under a defect."""
    points = [
        {"beta": float(name.removeprefix(WEAK)), **metrics}
        for name, metrics in slices.items()
        if name.startswith(WEAK)
    ]
    return sorted(points, key=itemgetter("beta"))


def _counts(unit: Manifest, headline: Headline) -> dict[str, int]:
    test = unit.of("test")
    labels = test["label"][headline(test)]
    return {
        "train": len(unit.of("train", 0)),
        "val": len(unit.of("val", 0)),
        "test_good": int((labels == 0).sum()),
        "test_defective": int((labels == 1).sum()),
    }


def _all_rows(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(True, index=rows.index)


def _write_pictures(
    method: AnyDetector,
    test: Predictions,
    headline: Headline,
    thresholds: tuple[float, float],
    rules: Sequence[ZoneRule],
    params: EvaluationParams,
    folder: Path,
) -> None:
    """Heat maps with the method's own views, and the test set in motion."""

    def views(image: Path) -> dict[str, NDArray[np.uint8]]:
        return views_of(method, torch.from_numpy(method.framing.to_model(read_image(image))))

    at = folder / "heatmaps"
    shown = write_heatmaps(test, headline, thresholds, at, params.heatmaps, views, rules)
    write_json(folder / "heatmaps.json", shown)
    rows = scored_rows(test, headline, thresholds[0], rules)
    if params.animation and len(rows):
        scale = scale_of(test, rows, thresholds, rules)
        write_animation(test, rows, scale, folder / "animation.gif", params.animation)


def _write_scores(
    parts: list[Predictions],
    aupimo: list[NDArray[np.float64]],
    headline: Headline,
    threshold: float,
    rules: Sequence[ZoneRule],
    path: Path,
) -> None:
    """One row an image; `headline` marks the main test set. Where zones decide, `zone_alarms` are
    those that do."""
    tables = []
    for part, values in zip(parts, aupimo, strict=True):
        table = part.rows[["image", "split", "label", "defect", "slice", "group"]].copy()
        table["headline"] = headline(part.rows) & (part.rows["split"] == "test")
        table["score"] = part.scores
        table["decision"] = part.decisions(threshold).astype(np.int8)
        if rules:
            table["zone_alarms"] = names_of_alarms(part, rules)
        table["aupimo"] = values
        tables.append(table)
    pd.concat(tables, ignore_index=True).to_parquet(path, index=False)


def _write_curves(tested: Evaluation, folder: Path) -> None:
    """The curves, and the bootstrap's draws."""
    (folder / "curves").mkdir()
    for name, curve in tested.curves.items():
        curve.to_csv(folder / f"curves/{name}.csv", index=False, float_format="%.7g")
    # Rounded: a method's draws are subtracted from another's, and need no more digits.
    tested.draws.round(6).to_parquet(folder / "bootstrap.parquet", index=False)
