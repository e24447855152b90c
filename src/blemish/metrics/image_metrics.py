"""Metrics of one score per image."""

import numpy as np
from numpy.typing import ArrayLike

from blemish.metrics.curves import rank
from blemish.metrics.table import as_floats, measured


def image_metrics(labels: ArrayLike, scores: ArrayLike) -> dict[str, float | None]:
    """The image metrics of labels (N,) of 0/1 and scores (N,).

    Equal scores are one threshold. All are None unless both labels occur.
    """
    ranking = rank(np.asarray(labels, np.int64), np.asarray(scores, np.float64))
    return as_floats(measured("image", ranking))
