"""The leaderboard in a terminal."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blemish.core.workspace import Run
from blemish.metrics.table import Place, heading, shown_in
from blemish.report.conditions import conditions
from blemish.report.tables import (
    NO_MASKS,
    RATES,
    Row,
    best_methods,
    known,
    leaderboard,
    marked,
    mean_over_units,
    metric_names,
    number,
    percent,
    sorted_rows,
    spread,
)

Times = Mapping[tuple[str, str], float]

TIMED = "ms an image: to score it on one core of this machine, without reading it; median."
SHOWN_RATES = ("recall", "false_alarms")


def print_leaderboard(
    runs: list[Run], console: Console, times: Times | None = None, sort: str | None = None
) -> None:
    """Print the leaderboard, readable from 80 characters on; the best of a unit is bold.

    All columns where they fit on a line, else the most telling ones, else these as narrow as
    they can be. times: of `scoring_times`; without any there is no column of them. sort: see
    `sorted_rows`.
    """
    rows = leaderboard(runs)
    if sort is not None:
        rows = sorted_rows(rows, sort)
    unbounded = console.options.update(max_width=10_000)
    forms = ((Place.TERMINAL, False), (Place.SUMMARY, False), (Place.SUMMARY, True))
    for place, tight in forms:
        table = _table(rows, place, times or {}, tight)
        if console.measure(table, options=unbounded).maximum <= console.width:
            break
    console.print(table)
    said = [*conditions(runs), *([TIMED] if times else [])]
    console.print(" ".join(said), style="dim", highlight=False, markup=False)


def _table(rows: list[Row], place: Place, times: Times, tight: bool) -> Table:
    """tight: one space between columns; a unit's name goes on after its slash on a second line."""
    names = shown_in(place, metric_names(rows))
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 0 if tight else 1, 0, 0), pad_edge=False, show_edge=False
    )
    table.add_column("unit", overflow="fold")
    table.add_column("method", overflow="fold")
    for name in names:
        table.add_column(f"{known(name).kind}\n{heading(name)}", justify="right", no_wrap=True)
    for rate in SHOWN_RATES:
        title = RATES[rate][1].lower().replace(" ", "\n")
        table.add_column(title, justify="right", no_wrap=True)
    if times:
        table.add_column("ms an\nimage", justify="right", no_wrap=True)
    best = {name: best_methods(rows, name) for name in names}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    unit = None
    for row in rows:
        if len(methods) > 1 and unit not in (None, row["unit"]):
            table.add_section()
        shown = row["unit"].replace("/", "/\n") if tight else row["unit"]
        first = Text(shown if row["unit"] != unit else "")
        taken = [_milliseconds(times, row)] if times else []
        table.add_row(first, Text(marked(row)), *_cells(row, names, best), *taken)
        unit = row["unit"]
    if any(row["unit"] != unit for row in rows):
        table.add_section()
        for method in methods:
            label = "mean" if method == methods[0] else ""
            table.add_row(label, Text(method), *_means(rows, method, names))
    return table


def _cells(row: Row, names: Sequence[str], best: dict[str, set[tuple[str, str]]]) -> list[Text]:
    cells = []
    for name in names:
        value = row["metrics"].get(name, {"mean": None, "std": None})
        text = number(value["mean"], name)
        if value["std"] is not None:
            text += f"±{number(value['std'], name)}"
        if known(name).needs_masks and row["masks"] == "none":
            # Said once a row: next to each other the words would crowd out the numbers.
            text = NO_MASKS if name == _first_of_pixels(names) else "–"
        cell = Text(text, "bold" if (row["unit"], row["method"]) in best[name] else "")
        if shared := row["letters"].get(name):
            cell.append(f" {shared}", "not bold dim")
        bounds = spread(row["intervals"].get(name), name)
        cells.append(cell.append(f"\n{bounds}", "not bold dim") if bounds else cell)
    rates = [row["threshold"][name]["mean"] for name in SHOWN_RATES]
    return cells + [Text(percent(rate)) for rate in rates]


def _milliseconds(times: Times, row: Row) -> str:
    taken = times.get((row["unit"], row["method"]))
    return "–" if taken is None else f"{taken:.0f}"


def _means(rows: list[Row], method: str, names: Sequence[str]) -> list[str]:
    rates = (mean_over_units(rows, method, name, "threshold") for name in SHOWN_RATES)
    means = [number(mean_over_units(rows, method, name), name) for name in names]
    return means + [percent(rate) for rate in rates]


def _first_of_pixels(names: Sequence[str]) -> str:
    return next(name for name in names if known(name).needs_masks)
