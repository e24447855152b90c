"""What the bootstrap of each run says: intervals, and letters for differences that may be chance.

The draws of a unit's runs are the same test images again, so a method's can be averaged over its
seeds and subtracted from another's (a paired bootstrap).
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from string import ascii_letters

import networkx as nx
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
    """{metric: pairs of methods} of one unit whose difference has an interval that holds 0.

    A metric by which no two methods can be compared is left out.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    compared = (name for name, metric in TABLE.items() if Place.COMPARED in metric.shown)
    for name, (left, right) in product(compared, combinations(groups, 2)):
        first, second = draws(left, name), draws(right, name)
        if first is None or second is None:
            continue
        low, high = interval(first - second)
        pairs = alike.setdefault(name, [])
        if low <= 0 <= high:
            pairs.append((left[0].method, right[0].method))
    return alike


def letters(groups: Sequence[Sequence[Run]]) -> dict[str, dict[str, str]]:
    """{metric: {method: letters}} of one unit: methods that share a letter may differ by chance.

    A compact letter display: a letter for each largest set of methods of which no two differ,
    from the best set on. Without two methods that can be compared there is none.
    """
    displays = {}
    for name, pairs in chance_differences(groups).items():
        tables = {group[0].method: draws(group, name) for group in groups}
        means = {method: table.mean() for method, table in tables.items() if table is not None}
        best_first = sorted(means, key=means.__getitem__, reverse=TABLE[name].higher_is_better)
        displays[name] = letter_display(best_first, pairs)
    return displays


def letter_display(best_first: Sequence[str], alike: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The letters of each method, so that two share one if and only if they are `alike`."""
    graph = nx.Graph(alike)
    graph.add_nodes_from(best_first)
    sets = sorted(sorted(map(best_first.index, members)) for members in nx.find_cliques(graph))
    return {
        method: "".join(_letter(index) for index, members in enumerate(sets) if place in members)
        for place, method in enumerate(best_first)
    }


def _letter(index: int) -> str:
    return ascii_letters[index] if index < len(ascii_letters) else f"{{{index}}}"
