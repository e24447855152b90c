"""Two results on the same images: what became better or worse, and how sure that is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.metrics.bootstrap import Weights, draw_weights, image_draws, interval
from blemish.metrics.image_metrics import image_metrics
from blemish.metrics.threshold import share

NEEDED = ["image", "split", "label", "defect", "slice", "headline", "score", "decision"]
PARTS = {"test": "the main test set", "selection": "real defects for choosing, and validation"}
FLIPS = {  # (label, decision before, decision after) → what that is
    (0, 1, 0): "false alarm gone",
    (0, 0, 1): "new false alarm",
    (1, 0, 1): "newly found",
    (1, 1, 0): "newly missed",
}


@dataclass(frozen=True)
class Result:
    """A folder of results: `scores`, a row an image, and `metrics.json`."""

    scores: pd.DataFrame
    record: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Result":
        """Raises UserError where the folder holds no results of the stage evaluate."""
        try:
            scores = pd.read_parquet(folder / "scores.parquet")
            record = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            scores = scores[[*NEEDED, *({"group"} & set(scores))]]
            return cls(scores, {"unit": record["unit"], **record})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder}: holds no results of `dvc repro evaluate` ({error}): name a folder such "
                "as results/elpv/mono/glass-0"
            ) from None


def compare(before: Result, after: Result) -> dict[str, Any]:
    """The numbers of two results on the images that both judged, by part of the images.

    For each of the parts "test" and, where both have them, "selection": `images`, how many are
    good and defective; of image_auroc, recall and false_alarm_rate `before`, `after`, `change` and
    the 95 % interval of the change (paired bootstrap: both are drawn the same images, by groups);
    `flipped`, the images whose decision changed. `left_out`: images that only one of the two has.

    Raises UserError where the two are of different units or share no image.
    """
    units = before.record["unit"], after.record["unit"]
    if units[0] != units[1]:
        raise UserError(f"results of {units[0]} and of {units[1]}: compare two of one unit")
    parts = {}
    for name in PARTS:
        pair = _paired(_part(before.scores, name), _part(after.scores, name))
        if len(pair):
            parts[name] = _changes(pair)
    if "test" not in parts:
        raise UserError(f"{units[0]}: the two results share no test image: nothing to compare")
    both = [set(_part(one.scores, "test")["image"]) for one in (before, after)]
    return {"unit": units[0], "left_out": len(both[0] ^ both[1]), **parts}


def _part(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    if name == "test":
        return scores[scores["headline"]]
    validating = (scores["split"] == "val") & ~scores["headline"]
    real = validating & (scores["label"] == 1)
    return scores[validating] if real.any() else scores[real]


def _paired(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """A row for each image that is in both under the same label; `_x` and `_y` of the two."""
    return before.merge(after, on=["image", "label"], how="inner").reset_index(drop=True)


def _changes(pair: pd.DataFrame) -> dict[str, Any]:
    labels = pair["label"].to_numpy()
    groups = pair["group_y"].fillna(pair["image"]) if "group_y" in pair else pair["image"]
    weights = draw_weights(groups.tolist(), labels.tolist())
    sides = [_numbers(pair, side, labels, weights) for side in ("_x", "_y")]
    return {
        "images": {"good": int((labels == 0).sum()), "defective": int((labels == 1).sum())},
        "metrics": {
            name: _change(*(numbers[name] for numbers in sides))
            for name in sides[0]
            if sides[0][name][0] is not None and sides[1][name][0] is not None
        },
        "flipped": _flipped(pair),
    }


Number = tuple[float | None, NDArray[np.float64] | None]  # on the images, and on each draw


def _numbers(
    pair: pd.DataFrame, side: str, labels: NDArray[np.int64], weights: Weights
) -> dict[str, Number]:
    scores = pair[f"score{side}"].to_numpy()
    alarm = pair[f"decision{side}"].to_numpy() == 1
    drawn = image_draws(labels, scores, weights).get("image_auroc")
    return {
        "image_auroc": (image_metrics(labels, scores)["image_auroc"], drawn),
        "recall": _rate(alarm, labels == 1, weights),
        "false_alarm_rate": _rate(alarm, labels == 0, weights),
    }


def _rate(alarm: NDArray[np.bool_], of: NDArray[np.bool_], weights: Weights) -> Number:
    """The share of alarms among some images."""
    drawn = weights[:, of]
    return share(alarm[of]), (drawn @ alarm[of]) / np.maximum(drawn.sum(axis=1), 1)


def _change(before: Number, after: Number) -> dict[str, Any]:
    values = {"before": before[0], "after": after[0]}
    if before[0] is None or after[0] is None or before[1] is None or after[1] is None:
        return values
    low, high = interval(after[1] - before[1])
    return values | {"change": after[0] - before[0], "low": low, "high": high}


def _flipped(pair: pd.DataFrame) -> list[dict[str, Any]]:
    turned = pair[pair["decision_x"] != pair["decision_y"]].sort_values(["label", "image"])
    return [
        {
            "image": row["image"],
            "defect": row["defect_y"],
            "what": FLIPS[int(row["label"]), int(row["decision_x"]), int(row["decision_y"])],
            "before": float(row["score_x"]),
            "after": float(row["score_y"]),
        }
        for _, row in turned.iterrows()
    ]
