"""Tables over the grid: the leaderboard (a row per unit and method) and DVC's summary."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError, suggestion
from blemish.core.scoring_times import SHOWN, digest_of, noted_times
from blemish.core.workspace import Run
from blemish.methods.registry import METHODS
from blemish.metrics.table import (
    NOWHERE,
    TABLE,
    Metric,
    Place,
    is_further,
    metric_of,
    shown_in,
)
from blemish.report.uncertainty import intervals, letters

Row = dict[str, Any]

# What the threshold does on the test set: name in a row → (key in metrics.json, heading).
RATES = {
    "recall": ("recall", "Recall"),
    "false_alarms": ("test_false_alarm_rate", "False alarms"),
    "precision": ("precision", "Precision"),
}
# How right the threshold's decisions stay in other light (metrics.json, `robustness`).
ROBUST = "robust"
NO_MASKS = "– (no masks)"
MARK = "†"  # beside the name of a method that gave the early warning


def leaderboard(runs: list[Run]) -> list[Row]:
    """One row per (unit, method): {"mean", "std"} over the seeds of every metric.

    A value is None where it is undefined for any seed; `std` (of the sample) is None with one
    seed. `threshold` holds what the threshold from validation normals did on the test set,
    `letters` those of `uncertainty.letters` by metric.
    """
    units: dict[str, list[list[Run]]] = {}
    for (unit, _), group in by_unit_and_method(runs).items():
        units.setdefault(unit, []).append(group)
    display = {unit: letters(groups) for unit, groups in units.items()}
    return [_row(group, display[unit]) for unit, groups in units.items() for group in groups]


def by_unit_and_method(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """The runs that differ in the seed only, in the order of the runs."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.unit, run.method), []).append(run)
    return groups


def over_seeds(values: Iterable[float | None]) -> dict[str, float | None]:
    """{"mean", "std"} of one number over seeds; both None where any seed has no value."""
    numbers = []
    for value in values:
        if value is None:
            return {"mean": None, "std": None}
        numbers.append(value)
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return {"mean": statistics.fmean(numbers), "std": std}


def summary(runs: list[Run]) -> dict[str, dict[str, float]]:
    """{method: {metric: mean over units and seeds}}: what `dvc exp show` displays.

    Units without masks do not count in pixel metrics; a metric no unit has is left out.
    """
    rows = leaderboard(runs)
    table: dict[str, dict[str, float]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        names = shown_in(Place.SUMMARY, metric_names(rows))
        means = {name: mean_over_units(rows, method, name) for name in names}
        table[method] = {name: mean for name, mean in means.items() if mean is not None}
    return table


def scoring_times(runs: list[Run], root: Path) -> dict[tuple[str, str], float]:
    """Milliseconds an image by (unit, method), the mean over those seeds that were timed on this
    machine; none where no seed was. root: of the workspace."""
    found = {}
    for key, group in by_unit_and_method(runs).items():
        notes = [noted_times(root, digest_of(run.model)) for run in group]
        taken = [note["milliseconds"][SHOWN]["median"] for note in notes if note]
        if taken:
            found[key] = statistics.fmean(taken)
    return found


def metric_names(rows: list[Row]) -> list[str]:
    """The metrics of the rows: the known ones in the order of `TABLE`, then any others.

    Numbers that looked at the test set (`oracle` in the name) do not stand beside those that
    did not. Further limits of sPRO stay in metrics.json.
    """
    names = {name for row in rows for name in row["metrics"]}
    present = {name for name in names if "oracle" not in name and not is_further(name)}
    return [name for name in TABLE if name in present] + sorted(present - set(TABLE))


def rates_of(rows: list[Row]) -> dict[str, str]:
    """The headings of what the threshold does, by name in a row; robustness where any has it."""
    headings = {name: title for name, (_, title) in RATES.items()}
    if any(row["threshold"][ROBUST]["mean"] is not None for row in rows):
        headings[ROBUST] = "Robust"
    return headings


def mean_over_units(rows: list[Row], method: str, name: str, part: str = "metrics") -> float | None:
    """The mean of a number's seed means over the units that have it, None if no unit has.

    `part` is "metrics" or "threshold", the two of a row that hold numbers.
    """
    means = [row[part].get(name, {}).get("mean") for row in rows if row["method"] == method]
    defined = [mean for mean in means if mean is not None]
    return statistics.fmean(defined) if defined else None


def best_methods(rows: list[Row], name: str) -> set[tuple[str, str]]:
    """The (unit, method) pairs with the best mean of a metric in their unit, ties included.

    Where all methods of a unit are equal (or there is only one) there is no best.
    """
    best_of = max if known(name).higher_is_better else min
    best: set[tuple[str, str]] = set()
    for unit in dict.fromkeys(row["unit"] for row in rows):
        rivals = [row for row in rows if row["unit"] == unit]
        means = {row["method"]: row["metrics"].get(name, {}).get("mean") for row in rivals}
        defined = {method: mean for method, mean in means.items() if mean is not None}
        if len(set(defined.values())) > 1:
            top = best_of(defined.values())
            best |= {(unit, method) for method, mean in defined.items() if mean == top}
    return best


def sorted_rows(rows: list[Row], name: str) -> list[Row]:
    """The rows of each unit from the best to the worst by a metric or a rate; without one, last.

    Numbers of different units do not compare, so the units keep their order. Raises UserError for
    a name that no row has.
    """
    names = [*metric_names(rows), *rates_of(rows)]
    if name not in names:
        hint = suggestion(name, names)
        raise UserError(f"--sort {name}: no such number{hint}: {', '.join(names)}")
    part = "metrics" if name not in rates_of(rows) else "threshold"
    lower = name == "false_alarms" or not known(name).higher_is_better
    units = list(dict.fromkeys(row["unit"] for row in rows))

    def place(row: Row) -> tuple[int, bool, float]:
        mean = row[part].get(name, {}).get("mean")
        value = 0.0 if mean is None else mean
        return units.index(row["unit"]), mean is None, value if lower else -value

    return sorted(rows, key=place)


def marked(row: Row) -> str:
    """The name of a row's method, marked where it is doubtful."""
    return f"{row['method']} {MARK}" if row["doubtful"] else str(row["method"])


def training_free(method: str) -> bool:
    """Whether a method is a yardstick: what comes without training."""
    return method in METHODS and METHODS[method].training_free


def known(name: str) -> Metric:
    """The metric of a number, for its direction and format; the usual ones where none is known."""
    return metric_of(name) or Metric(name, name, lambda *_: None, NOWHERE)


def number(value: float | None, name: str = "") -> str:
    """A metric's number as it is printed everywhere."""
    return "–" if value is None else format(value, known(name).format)


def spread(bounds: Sequence[float] | None, name: str = "") -> str:
    """An interval as it is printed everywhere: [.885 .931]; nothing where there is none."""
    if not bounds:
        return ""
    low, high = (number(bound, name).removeprefix("0") for bound in bounds)
    return f"[{low}\N{NO-BREAK SPACE}{high}]"


def percent(value: float | None) -> str:
    """A measured rate in per cent; the sign stays on the number's line."""
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def _row(group: list[Run], display: dict[str, dict[str, str]]) -> Row:
    record = group[0].record
    names = sorted({name for run in group for name in run.metrics})
    return {
        "unit": group[0].unit,
        "method": group[0].method,
        "training_free": training_free(group[0].method),
        "doubtful": any(run.record["warning"] for run in group),
        "seeds": [run.seed for run in group],
        "protocol": record["protocol"],
        "resolution": record["resolution"],
        "input_size": record["input_size"],
        "framing": record["framing"],
        "masks": record["masks"],
        "metrics": {name: over_seeds(run.metrics.get(name) for run in group) for name in names},
        "intervals": intervals(group),
        "letters": {
            name: of_method[group[0].method]
            for name, of_method in display.items()
            if group[0].method in of_method
        },
        "threshold": {
            name: over_seeds(run.record["threshold"][key] for run in group)
            for name, (key, _) in RATES.items()
        }
        | {ROBUST: over_seeds(run.record.get("robustness", {}).get("accuracy") for run in group)},
    }
