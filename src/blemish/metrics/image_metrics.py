"""Metrics of one score per image."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, roc_auc_score

from blemish.metrics.curves import f1max, fpr_at_tpr, rank


def image_metrics(labels: ArrayLike, scores: ArrayLike) -> dict[str, float | None]:
    """image_auroc, image_ap, image_f1max and image_fpr95 of labels (N,) of 0/1 and scores (N,).

    Equal scores are one threshold. All four are None unless both labels occur.
    """
    label, score = np.asarray(labels, np.int64), np.asarray(scores, np.float64)
    ranking = rank(label, score)
    return {
        "image_auroc": float(roc_auc_score(label, score)) if ranking.defined else None,
        "image_ap": float(average_precision_score(label, score)) if ranking.defined else None,
        "image_f1max": f1max(ranking),
        "image_fpr95": fpr_at_tpr(ranking),
    }
