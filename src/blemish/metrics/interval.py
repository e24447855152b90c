"""The interval that the draws of a bootstrap give."""

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The middle `LEVEL` of a number's values on each draw (percentile bootstrap)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
