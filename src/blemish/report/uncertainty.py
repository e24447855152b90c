"""What the bootstrap of each run says: intervals, and which differences may be chance.

The draws of a unit's runs are the same test images again, so a method's can be averaged over its
seeds and subtracted from another's (a paired bootstrap).
"""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from blemish.core.workspace import Run
from blemish.metrics.bootstrap import interval
from blemish.metrics.table import TABLE, Place


def draws(group: Sequence[Run], name: str) -> NDArray[np.float64] | None:
    """A metric's mean over the seeds of one method on each draw; None where a seed has none."""
    tables = [run.draws for run in group]
    if any(name not in table for table in tables):
        return None
    return np.asarray(np.mean([table[name].to_numpy() for table in tables], axis=0))


def intervals(group: Sequence[Run]) -> dict[str, list[float]]:
    """{metric: [low, high]} of one method on one unit, over test images; seeds averaged."""
    names = [str(name) for name in group[0].draws]
    means = {name: draws(group, name) for name in names}
    return {name: list(interval(drawn)) for name, drawn in means.items() if drawn is not None}


def chance_differences(groups: Sequence[Sequence[Run]]) -> dict[str, list[tuple[str, str]]]:
    """{metric: pairs of methods} of one unit whose difference has an interval that holds 0."""
    alike: dict[str, list[tuple[str, str]]] = {}
    compared = (name for name, metric in TABLE.items() if Place.COMPARED in metric.shown)
    for name, (left, right) in product(compared, combinations(groups, 2)):
        first, second = draws(left, name), draws(right, name)
        if first is None or second is None:
            continue
        low, high = interval(first - second)
        if low <= 0 <= high:
            alike.setdefault(name, []).append((left[0].method, right[0].method))
    return alike
