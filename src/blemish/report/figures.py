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
PRO_LIMIT = 0.3  # AUPRO integrates up to this false-positive rate


def score_histogram(good: Sequence[float], defective: Sequence[float], threshold: float) -> str:
    """Image scores of good and defective test images, each as shares of its own number."""

    def draw(axes: Axes) -> None:
        edges = np.histogram_bin_edges([*good, *defective, threshold], bins=36).tolist()
        for scores, colour, name in ((good, GOOD, "good"), (defective, DEFECTIVE, "defective")):
            if len(scores):
                share = np.full(len(scores), 1 / len(scores))
                label = f"{name} ({len(scores)})"
                axes.hist(
                    scores,
                    edges,
                    weights=share,
                    histtype="stepfilled",
                    color=colour[0],
                    alpha=0.55,
                    label=label,
                )
        axes.axvline(threshold, color=INK[0], linestyle="--", linewidth=1.2, label="threshold")
        axes.set(xlabel="image score", ylabel="share of images")
        _legend_above(axes)

    return _svg(draw)


def roc(curves: dict[int, pd.DataFrame], points: Sequence[tuple[float, float | None]]) -> str:
    """ROC curves by seed, with the points (false-alarm rate, recall) of the thresholds."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED[0], linestyle=":", linewidth=1)
        _seeds(axes, curves)
        _operating_points(axes, points)
        axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
        _unit_square(axes)

    return _svg(draw)


def precision_recall(
    curves: dict[int, pd.DataFrame], points: Sequence[tuple[float | None, float | None]]
) -> str:
    """Precision over recall by seed, with the points (recall, precision) of the thresholds."""

    def draw(axes: Axes) -> None:
        _seeds(axes, curves)
        _operating_points(axes, points)
        axes.set(xlabel="recall", ylabel="precision")
        _unit_square(axes)

    return _svg(draw)


def per_region_overlap(curves: dict[int, pd.DataFrame]) -> str:
    """Per-region overlap over the pixel false-positive rate, up to the limit of AUPRO."""

    def draw(axes: Axes) -> None:
        _seeds(axes, {seed: curve[curve["fpr"] <= PRO_LIMIT] for seed, curve in curves.items()})
        axes.set(xlabel="pixel false-positive rate", ylabel="per-region overlap")
        axes.set(xlim=(-0.006, PRO_LIMIT + 0.006), ylim=(-0.02, 1.02))

    return _svg(draw)


def training(curves: dict[int, pd.DataFrame], names: Sequence[str]) -> str:
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


def _seeds(axes: Axes, curves: dict[int, pd.DataFrame]) -> None:
    for (seed, curve), colour in zip(curves.items(), cycle(SERIES), strict=False):
        axes.plot(*curve.to_numpy().T, color=colour[0], label=f"seed {seed}")
    if len(curves) > 1:
        axes.legend(loc="lower right")


def _operating_points(axes: Axes, points: Sequence[tuple[float | None, float | None]]) -> None:
    for (x, y), colour in zip(points, cycle(SERIES), strict=False):
        if x is not None and y is not None:
            axes.plot(x, y, "o", color=colour[0], markersize=6, markeredgecolor=INK[0])


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


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _spans_decades(axes: Axes) -> bool:
    values = [value for line in axes.lines for value in np.asarray(line.get_ydata(), float)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100
