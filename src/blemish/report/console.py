"""The leaderboard in a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blemish.report.collect import Run
from blemish.report.tables import (
    NO_MASKS,
    SUMMARY,
    Row,
    best_methods,
    conditions,
    heading,
    leaderboard,
    mean_over_units,
    metric_names,
    number,
    percent,
    spread,
    variants,
)

NARROW = SUMMARY
WIDE = ("image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_aupro")
CONSOLE_RATES = ("recall", "false_alarms")


def print_leaderboard(runs: list[Run], console: Console) -> None:
    """Print the leaderboard, readable from 80 characters on; the best of a unit is bold.

    All columns where they fit on a line, else the most telling ones.
    """
    rows = leaderboard(runs)
    wide = _console_table(rows, WIDE)
    unbounded = console.options.update(max_width=10_000)
    fits = console.measure(wide, options=unbounded).maximum <= console.width
    console.print(wide if fits else _console_table(rows, NARROW))
    console.print(" ".join(conditions(runs)), style="dim", highlight=False, markup=False)


def _console_table(rows: list[Row], bases: Sequence[str]) -> Table:
    names = [name for base in bases for name in variants(base, metric_names(rows))]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("unit", overflow="fold")
    table.add_column("method", overflow="fold")
    for name in names:
        kind = name.partition("_")[0]
        table.add_column(f"{kind}\n{heading(name)}", justify="right", no_wrap=True)
    table.add_column("recall", justify="right", no_wrap=True)
    table.add_column("false\nalarms", justify="right", no_wrap=True)
    best = {name: best_methods(rows, name) for name in names}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    unit = None
    for row in rows:
        if len(methods) > 1 and unit not in (None, row["unit"]):
            table.add_section()
        first = Text(row["unit"] if row["unit"] != unit else "")
        table.add_row(first, Text(row["method"]), *_console_cells(row, names, best))
        unit = row["unit"]
    if any(row["unit"] != unit for row in rows):
        table.add_section()
        for method in methods:
            label = "mean" if method == methods[0] else ""
            table.add_row(label, Text(method), *_console_means(rows, method, names))
    return table


def _console_cells(
    row: Row, names: Sequence[str], best: dict[str, set[tuple[str, str]]]
) -> list[Text]:
    cells = []
    for name in names:
        value = row["metrics"].get(name, {"mean": None, "std": None})
        text = number(value["mean"])
        if value["std"] is not None:
            text += f"±{value['std']:.3f}"
        if name.startswith("pixel") and row["masks"] == "none":
            # Said once a row: next to each other the words would crowd out the numbers.
            text = NO_MASKS if name == _first_pixel(names) else "–"
        cell = Text(text, "bold" if (row["unit"], row["method"]) in best[name] else "")
        bounds = spread(row["intervals"].get(name))
        cells.append(cell.append(f"\n{bounds}", "not bold dim") if bounds else cell)
    rates = [row["threshold"][name]["mean"] for name in CONSOLE_RATES]
    return cells + [Text(percent(rate)) for rate in rates]


def _console_means(rows: list[Row], method: str, names: Sequence[str]) -> list[str]:
    rates = (
        mean_over_units(rows, method, name, "threshold") for name in ("recall", "false_alarms")
    )
    means = [number(mean_over_units(rows, method, name)) for name in names]
    return means + [percent(rate) for rate in rates]


def _first_pixel(names: Sequence[str]) -> str:
    return next(name for name in names if name.startswith("pixel"))
