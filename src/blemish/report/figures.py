"""The page's figures as SVG text: sharp, in the reader's colour scheme, always the same bytes."""

import io
import re
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Drawn with stand-in colours that are then replaced by CSS variables: (stand-in, light, dark).
INK = ("#000001", "#1f2937", "#e5e7eb")
MUTED = ("#000002", "#6b7280", "#9ca3af")
GRID = ("#000003", "#e5e7eb", "#374151")
GOOD = ("#000004", "#2f7ebc", "#5aa9e6")
DEFECTIVE = ("#000005", "#d9622b", "#f08a4b")
SERIES = [
    ("#000006", "#2f7ebc", "#5aa9e6"),
    ("#000007", "#d9622b", "#f08a4b"),
    ("#000008", "#2a9d6f", "#4ecb98"),
    ("#000009", "#9b51b8", "#c98be0"),
    ("#00000a", "#b8902b", "#e0bd5a"),
    ("#00000b", "#5b6270", "#aab2c0"),
]
COLOURS = [INK, MUTED, GRID, GOOD, DEFECTIVE, *SERIES]

STYLE: dict[str, Any] = {
    "axes.edgecolor": MUTED[0],
    "axes.grid": True,
    "axes.labelcolor": INK[0],
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "grid.color": GRID[0],
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.labelcolor": INK[0],
    "lines.linewidth": 1.6,
    "lines.solid_joinstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "blemish",
    "xtick.color": MUTED[0],
    "ytick.color": MUTED[0],
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
}
SIZE = (3.9, 2.9)  # inches; on a tile of the page this makes text of about 11 px

Curves = dict[int, pd.DataFrame]  # by seed; x is the first column, y the second
Points = Sequence[tuple[float | None, float | None]]


def score_histogram(
    good: Sequence[float], defective: Sequence[float], threshold: float | None
) -> str:
    """Image scores of good and defective test images, each as shares of its own number.

    threshold: None where other things than the score decide.
    """
    marked = [] if threshold is None else [threshold]

    def draw(axes: Axes) -> None:
        edges = np.histogram_bin_edges([*good, *defective, *marked], bins=36).tolist()
        style: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.55}
        for scores, colour, name in ((good, GOOD, "good"), (defective, DEFECTIVE, "defective")):
            if len(scores):
                share = np.full(len(scores), 1 / len(scores))
                label = f"{name} ({len(scores)})"
                axes.hist(scores, edges, weights=share, color=colour[0], label=label, **style)
        for place in marked:
            axes.axvline(place, color=INK[0], linestyle="--", linewidth=1.2, label="threshold")
        axes.set(xlabel="image score", ylabel="share of images")
        _legend_above(axes)

    return _svg(draw)


def by_seed(
    curves: Curves, x: str, y: str, points: Points = (), diagonal: bool = False, limit: float = 1.0
) -> str:
    """Curves in the unit square, a line a seed, with a point for each threshold.

    Args:
        x, y: the labels of the axes.
        points: of the thresholds, in the order of the seeds; None where one is undefined.
        diagonal: whether to draw that of a detector that guesses.
        limit: where the x axis ends, as the area under the curve does.
    """

    def draw(axes: Axes) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=MUTED[0], linestyle=":", linewidth=1)
        for (seed, curve), colour in zip(curves.items(), cycle(SERIES), strict=False):
            inside = curve[curve.iloc[:, 0] <= limit]
            axes.plot(*inside.to_numpy().T, color=colour[0], label=f"seed {seed}")
        if len(curves) > 1:
            axes.legend(loc="lower right")
        for (x_at, y_at), colour in zip(points, cycle(SERIES), strict=False):
            if x_at is not None and y_at is not None:
                axes.plot(x_at, y_at, "o", color=colour[0], markersize=6, markeredgecolor=INK[0])
        margin = 0.02 * limit
        axes.set(xlabel=x, ylabel=y, xlim=(-margin, limit + margin), ylim=(-0.02, 1.02))

    return _svg(draw)


def training(curves: Curves, names: Sequence[str]) -> str:
    """The named training curves over epochs: a colour a curve, a line a seed."""

    def draw(axes: Axes) -> None:
        for name, colour in zip(names, cycle(SERIES), strict=False):
            label: str | None = name
            for table in curves.values():
                if name in table and table[name].notna().any():
                    points = table[["epoch", name]].dropna()
                    marker = "o" if len(points) == 1 else None
                    axes.plot(*points.to_numpy().T, color=colour[0], label=label, marker=marker)
                    label = None
        axes.set(xlabel="epoch", ylabel=names[0] if len(names) == 1 else "")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if _spans_decades(axes):
            axes.set_yscale("log")
        if len(names) > 1:
            _legend_above(axes)

    return _svg(draw)


def sensitivity(lines: dict[str, list[tuple[float, float]]], label: str, falling: bool) -> str:
    """Image AUROC over what makes a defect weak, `label`; a line a method.

    Defects get fainter to the right: `falling` turns an axis on which they get clearer.
    """

    def draw(axes: Axes) -> None:
        for (name, points), colour in zip(lines.items(), cycle(SERIES), strict=False):
            axes.plot(*np.array(points).T, color=colour[0], marker="o", markersize=4, label=name)
        axes.axhline(0.5, color=MUTED[0], linestyle=":", linewidth=1)
        lowest = min(value for points in lines.values() for _, value in points)
        axes.set(xlabel=label, ylabel="image AUROC")
        if falling:
            axes.invert_xaxis()
        axes.set_ylim(min(0.45, lowest - 0.05), 1.02)
        if len(lines) > 1:
            _legend_above(axes)

    return _svg(draw)


def robustness(table: pd.DataFrame) -> str:
    """How many decisions stay right under each disturbance; table: of `Run.robustness`."""

    def draw(axes: Axes) -> None:
        for (name, points), colour in zip(
            table.groupby("disturbance", sort=False), cycle(SERIES), strict=False
        ):
            place = list(dict.fromkeys(table["disturbance"])).index(name)
            style = "-" if place < len(SERIES) else "--"
            values = points[["step", "accuracy"]].to_numpy().T
            axes.plot(*values, style, color=colour[0], marker="o", markersize=4, label=str(name))
        axes.set(xlabel="strength (0: as it is)", ylabel="balanced accuracy", ylim=(-0.02, 1.02))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(0.5, color=MUTED[0], linestyle=":", linewidth=1)
        axes.legend(loc="lower left", ncols=2, columnspacing=1.0, handlelength=1.6)

    return _svg(draw)


def _svg(draw: Callable[[Axes], None]) -> str:
    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **STYLE}
    with mpl.rc_context(settings):
        figure = Figure(figsize=SIZE)
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        draw(axes)
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    return _themed(text.getvalue())


def _themed(svg: str) -> str:
    """Colours as CSS variables that follow the reader's scheme, text in the reader's own font."""
    light = ";".join(f"--c{index}:{colour[1]}" for index, colour in enumerate(COLOURS))
    dark = ";".join(f"--c{index}:{colour[2]}" for index, colour in enumerate(COLOURS))
    scheme = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    svg = svg.replace('<style type="text/css">', f'<style type="text/css">{scheme}', 1)
    for index, colour in enumerate(COLOURS):
        svg = svg.replace(colour[0], f"var(--c{index})")
    return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)


def _legend_above(axes: Axes) -> None:
    """Where no curve can run below it."""
    columns = 3 if len(axes.get_legend_handles_labels()[1]) == 3 else 2
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.12, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.0,
        handlelength=1.2,
        handletextpad=0.5,
    )


def _spans_decades(axes: Axes) -> bool:
    values = [value for line in axes.lines for value in np.asarray(line.get_ydata(), float)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100
