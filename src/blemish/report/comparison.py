"""Whether this machine's results are those of the reference: bytes, intervals, differences."""

from collections.abc import Iterator

from blemish.core.files import sha256
from blemish.core.params import Params
from blemish.core.workspace import Run
from blemish.metrics.table import title
from blemish.report.reference import REFERENCE, Reference, settings
from blemish.report.tables import (
    RATES,
    ROBUST,
    Row,
    by_unit_and_method,
    leaderboard,
    number,
    percent,
    spread,
)

GRID = ("units", "methods", "seeds")
NAMED = 5  # settings that are named; the others are counted
Pair = tuple[float | None, float | None]


def compare(reference: Reference | None, params: Params, runs: list[Run]) -> list[str]:
    """What to print: whose bytes are the same, then a line for each row of which they are not."""
    if reference is None:
        return [f"no {REFERENCE}: nothing to compare these numbers with"]
    here, there = settings(params), reference["settings"]
    if any(here[key] != there.get(key) for key in GRID):
        grid = ", ".join(f"{key} {' '.join(map(str, there.get(key, [])))}" for key in GRID)
        return [f"it is of another grid ({grid}): nothing to compare"]
    other = {run.name for run in runs if _digest(run) != reference["digests"].get(run.name)}
    same = f"all {len(runs)}" if not other else f"{len(runs) - len(other)} of {len(runs)}"
    where = f"{reference['machine']}, {reference['made']}"
    return [
        f"{same} models: the same bytes as on {where}",
        *_rows(reference, runs, other),
        *_settings({key for key in here | there if here.get(key) != there.get(key)}),
    ]


def _digest(run: Run) -> str:
    return sha256(run.results / "metrics.json")


def _rows(reference: Reference, runs: list[Run], other: set[str]) -> Iterator[str]:
    if not other:
        return
    before = {(row["unit"], row["method"]): row for row in reference["rows"]}
    groups = by_unit_and_method(runs)
    for row in leaderboard(runs):
        key = row["unit"], row["method"]
        if any(run.name in other for run in groups[key]):
            verdict = _verdict(before[key], row) if key in before else "not in the reference"
            yield f"{row['method']} on {row['unit']}: {verdict}"


def _verdict(there: Row, here: Row) -> str:
    """How far a row's numbers are from the reference's, whose intervals judge them."""
    pairs = {
        name: (there[part].get(name, {}).get("mean"), here[part].get(name, {}).get("mean"))
        for part in ("metrics", "threshold")
        for name in there[part]
    }
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if not changed:
        return "the same numbers, other bytes"
    intervals = there["intervals"]
    outside = [name for name, pair in changed.items() if not _inside(pair, intervals.get(name))]
    judged = [name for name in outside if name in intervals or None in changed[name]]
    if judged:
        listed = ", ".join(
            f"{_change(name, *changed[name])} {spread(intervals.get(name), name)}".rstrip()
            for name in judged
        )
        return f"DIFFERS, outside the reference's interval: {listed}"
    largest = max(changed, key=lambda name: _size(changed[name]))
    return f"within the 95 % intervals; largest difference: {_change(largest, *changed[largest])}"


def _inside(pair: Pair, bounds: list[float] | None) -> bool:
    value = pair[1]
    return bounds is not None and value is not None and bounds[0] <= value <= bounds[1]


def _size(pair: Pair) -> float:
    before, now = pair
    return 0.0 if before is None or now is None else abs(now - before)


def _change(name: str, before: float | None, now: float | None) -> str:
    if name in RATES or name == ROBUST:
        heading = RATES[name][1].lower() if name in RATES else ROBUST
        return f"{heading} {percent(before)} → {percent(now)}"
    return f"{title(name)} {number(before, name)} → {number(now, name)}"


def _settings(differing: set[str]) -> list[str]:
    if not differing:
        return []
    names = sorted(name.removeprefix("method_sections.") for name in differing)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"params.yaml has other settings than the reference: {', '.join(names[:NAMED])}{more}"]
