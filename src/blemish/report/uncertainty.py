"""What the bootstrap of each run says: intervals, and which differences may be chance.

The draws of a unit's runs are the same test images again, so a method's can be averaged over its
seeds and subtracted from another's (a paired bootstrap).
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from blemish.metrics.bootstrap import interval
from blemish.report.collect import Run

COMPARED = ("image_auroc", "pixel_aupro")


def draws(group: Sequence[Run], name: str) -> NDArray[np.float64] | None:
    """A metric's mean over the seeds of one method on each draw; None where a seed has none."""
    tables = [run.draws for run in group]
    if any(name not in table for table in tables):
        return None
    return np.asarray(np.mean([table[name].to_numpy() for table in tables], axis=0))


def intervals(group: Sequence[Run]) -> dict[str, list[float]]:
    """{metric: [low, high]} of one method on one unit, over test images; seeds averaged."""
    names = [str(name) for name in group[0].draws]
    found = {name: draws(group, name) for name in names}
    return {name: list(interval(drawn)) for name, drawn in found.items() if drawn is not None}


def chance_differences(groups: Sequence[Sequence[Run]]) -> dict[str, list[tuple[str, str]]]:
    """{metric: pairs of methods} of one unit whose difference has an interval that holds 0."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in COMPARED:
        for one, other in combinations(groups, 2):
            first, second = draws(one, name), draws(other, name)
            if first is None or second is None:
                continue
            low, high = interval(first - second)
            if low <= 0 <= high:
                found.setdefault(name, []).append((one[0].method, other[0].method))
    return found
