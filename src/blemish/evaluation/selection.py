"""How a model does on the real defects that were set apart for choosing (`metrics.json`)."""

from typing import Any

import numpy as np

from blemish.evaluation.evaluate import Evaluation
from blemish.evaluation.predictions import Predictions
from blemish.methods.validation import Validation
from blemish.metrics.table import Place, is_in
from blemish.metrics.threshold import share, thresholds_for_use


def selection_numbers(
    judged: Evaluation, defects: Predictions, known: Validation, threshold: float
) -> dict[str, Any]:
    """The key `selection`: metrics of the real defects for choosing against the validation normals.

    judged: of both. `count` and `recall` at the threshold in use; `slices`, of the defects set
    apart by `data.selection` and of confirmed ones; `thresholds`, what each usual false-alarm rate
    would find, empty where zones decide.
    """
    named = judged.metrics.items()
    usual = [] if defects.zone_alarms is not None else thresholds_for_use(known.normal_scores)
    alarms, rows = defects.decisions(threshold), defects.rows["slice"].to_numpy()
    return {
        "count": len(alarms),
        **{name: value for name, value in named if is_in(name, Place.VALIDATION)},
        "recall": share(alarms),
        "slices": {
            name: numbers | {"recall": share(alarms[rows == name])}
            for name, numbers in judged.slices.items()
        },
        "thresholds": [
            entry | {"recall": share(np.asarray(defects.scores > entry["threshold"]))}
            for entry in usual
        ],
    }
