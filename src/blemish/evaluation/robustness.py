"""What is left of a detector when the light, the focus or the place of the parts has changed.

Its threshold stays as it is, as on a line: held-out normals tell false alarms, rendered defects
recall. A model that is the best in the laboratory may be useless under another lamp.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from blemish.evaluation.disturbances import DISTURBANCES, Picture, disturbed
from blemish.evaluation.predictions import Predictions
from blemish.evaluation.scoring import Change
from blemish.images.manifest import Manifest

# Scores some rows of a manifest after each image, and its number, went through a change.
Score = Callable[[Manifest, pd.DataFrame, Change], Predictions]
Sets = tuple[tuple[Manifest, pd.DataFrame], ...]


def robustness(
    score: Score, normals: Manifest, defects: Manifest, count: int, threshold: float
) -> dict[str, Any]:
    """The curve of every disturbance: false alarms, recall and image AUROC at each strength.

    count: images of the validation normals and of the rendered validation defects, each evenly
    spread. "accuracy" is the mean over all points of the balanced one, (1 + recall − false alarms)
    / 2; "undisturbed" has the same images as they are.
    """
    sets = (
        (normals, _some(normals.of("val", 0), count)),
        (defects, _some(defects.of("validation", 1), count)),
    )
    points = list(_points(score, sets, threshold))
    return {
        "images": {"good": len(sets[0][1]), "defective": len(sets[1][1])},
        "undisturbed": _measured(score, sets, lambda image, _: image, threshold),
        "accuracy": float(np.mean([point["accuracy"] for point in points])),
        "curve": points,
    }


def _points(score: Score, sets: Sets, threshold: float) -> Iterator[dict[str, Any]]:
    for name, disturbance in DISTURBANCES.items():
        for step, strength in enumerate(disturbance.strengths, 1):

            def change(
                image: Picture, number: int, name: str = name, strength: float = strength
            ) -> Picture:
                return disturbed(image, name, strength, number)

            measured = _measured(score, sets, change, threshold)
            yield {"disturbance": name, "step": step, "strength": strength, **measured}


def _measured(score: Score, sets: Sets, change: Change, threshold: float) -> dict[str, float]:
    good, defective = (score(manifest, rows, change) for manifest, rows in sets)
    alarms, found = (float(part.decisions(threshold).mean()) for part in (good, defective))
    labels = np.repeat([0, 1], [len(good.scores), len(defective.scores)])
    scores = np.concatenate([good.scores, defective.scores])
    return {
        "false_alarms": alarms,
        "recall": found,
        "accuracy": (1 + found - alarms) / 2,
        "image_auroc": float(roc_auc_score(labels, scores)),
    }


def _some(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` rows, evenly spread."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    return rows.iloc[chosen].reset_index(drop=True)
