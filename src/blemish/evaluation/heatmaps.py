"""Which test images show best how a detector does, and their picture strips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from blemish.evaluation.drawing import Picture, Scale
from blemish.evaluation.image_table import Headline
from blemish.evaluation.predictions import Predictions
from blemish.evaluation.strips import draw_strip
from blemish.evaluation.zone_decisions import names_of_alarms
from blemish.methods.zone_rules import ZoneRule

Thresholds = tuple[float, float]  # of image scores and of anomaly maps
Explain = Callable[[Path], dict[str, Picture]]  # an image file -> captions and pictures (h, w, 3)


@dataclass(frozen=True)
class _Kind:
    label: int
    lowest: bool  # whether low scores come first
    worst: bool  # whether it shows the errors; it then has the first claim on an odd image
    end: str  # where its ranks are counted from


_KINDS = {
    "missed": _Kind(1, True, True, "bottom"),
    "false_alarm": _Kind(0, False, True, "top"),
    "found": _Kind(1, False, False, "top"),
    "quiet": _Kind(0, True, False, "bottom"),
}


def write_heatmaps(
    predictions: Predictions,
    headline: Headline,
    thresholds: Thresholds,
    folder: Path,
    limit_per_kind: int = 4,
    explain: Explain | None = None,
    rules: Sequence[ZoneRule] = (),
) -> list[dict[str, Any]]:
    """Write strips of the worst and the best test images as PNG into `folder`.

    Kinds: missed and found are the defective images with the lowest and the highest scores,
    false_alarm and quiet the good ones with the highest and the lowest. No image appears twice.
    The colours span, in all strips alike, the typical background of the test images (the median of
    their medians) to the 95 % quantile of their maxima.

    Args:
        headline: takes `rows` to the flags (N,) of the main test set.
        thresholds: of image scores, and of maps: what lies above the latter is outlined.
        explain: the method's own views of an image; they are written beside its strip.
        rules: of the unit's zones, where these decide.

    Returns:
        One record a strip: file (relative to the parent of `folder`), kind, image, score, label,
        defect, views (each a file and a caption); in the order of the kinds, then of the ranks.

    Raises:
        UserError: an image or a mask that cannot be read or does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = scored_rows(predictions, headline, thresholds[0], rules)
    records: list[dict[str, Any]] = []
    if rows.empty:
        return records
    scale = scale_of(predictions, rows, thresholds, rules)
    for name, kind in _KINDS.items():
        total = int((rows["label"] == kind.label).sum())
        for rank, (_, row) in enumerate(_chosen(rows, kind, limit_per_kind).iterrows(), start=1):
            stem = f"{name}-{rank:02d}"
            standing = f"no. {rank} from the {kind.end} of {total} {_noun(kind.label, total)}"
            draw_strip(predictions, row, standing, scale).save(folder / f"{stem}.png")
            views = explain(predictions.root / row["image"]) if explain else {}
            record = _record(f"{folder.name}/{stem}.png", name, row)
            records.append(record | {"views": _write_views(views, folder, stem)})
    return records


def _record(file: str, kind: str, row: pd.Series) -> dict[str, Any]:
    # Where the threshold of scores decides, the score says it.
    alarm = {"alarm": bool(row["alarm"])} if "zone_alarms" in row else {}
    return {
        "file": file,
        "kind": kind,
        "image": str(row["image"]),
        "score": float(row["score"]),
        "label": int(row["label"]),
        "defect": str(row["defect"]),
        **alarm,
    }


def _write_views(views: dict[str, Picture], folder: Path, stem: str) -> list[dict[str, str]]:
    written = []
    for number, (caption, picture) in enumerate(views.items(), start=1):
        name = f"{stem}-view-{number}.png"
        Image.fromarray(picture).save(folder / name)
        written.append({"file": f"{folder.name}/{name}", "caption": caption})
    return written


def _noun(label: int, count: int) -> str:
    return ("defective" if label else "good") + (" images" if count != 1 else " image")


def _chosen(rows: pd.DataFrame, kind: _Kind, limit: int) -> pd.DataFrame:
    """Rows in rank order; the two kinds of a label share its images without overlap."""
    alike = rows[rows["label"] == kind.label]
    share = (len(alike) + kind.worst) // 2
    ordered = alike.sort_values(["score", "image"], ascending=[kind.lowest, True])
    return ordered.head(min(limit, share))


def scored_rows(
    predictions: Predictions,
    headline: Headline,
    threshold: float,
    rules: Sequence[ZoneRule] = (),
) -> pd.DataFrame:
    """The main test set's rows with their `score`, `alarm`, and `position` in the predictions;
    where zones decide, `zone_alarms` names them."""
    rows = predictions.rows.assign(
        score=predictions.scores,
        alarm=predictions.decisions(threshold),
        position=np.arange(len(predictions.rows)),
    )
    if rules:
        rows["zone_alarms"] = names_of_alarms(predictions, rules)
    return rows[np.asarray(headline(rows), bool)]


def scale_of(
    predictions: Predictions,
    rows: pd.DataFrame,
    thresholds: Thresholds,
    rules: Sequence[ZoneRule] = (),
) -> Scale:
    """The scale of the images in `rows`, which have their `position` in the predictions."""
    maxima, medians = np.empty(len(rows)), np.empty(len(rows))
    for number, position in enumerate(rows["position"]):  # never all maps in memory
        values = predictions.judged_values(position)
        maxima[number], medians[number] = values.max(), np.median(values)
    low, high = float(np.median(medians)), float(np.quantile(maxima, 0.95))
    return Scale(low, max(high, low + 1e-12), *thresholds, tuple(rules))
