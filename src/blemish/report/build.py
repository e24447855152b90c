"""Everything the stage `report` writes: DVC's metrics, DVC's plots, and the page."""

from pathlib import Path

import pandas as pd

from blemish.core.files import finished_file, finished_folder, link, write_json
from blemish.core.scoring_times import write_script
from blemish.core.workspace import Run, grid, preview
from blemish.report.html import write_page
from blemish.report.tables import by_unit_and_method, leaderboard, summary


def build(
    models: Path,
    results: Path,
    synthetic: Path,
    metrics: Path,
    plots: Path,
    report: Path,
    units: list[str],
    methods: list[str],
    seeds: list[int],
) -> None:
    """Write the folders `plots` and `report` and two files in `metrics` from the runs of the grid.

    All are replaced when everything is written, and none before; what else is in `metrics` stays.
    What the page reads times from is written beside `report`. Raises UserError where
    an input is missing or broken, naming the stage to run.
    """
    runs = [run.check() for run in grid(models, results, units, methods, seeds)]
    numbers = {"summary.json": summary(runs), "leaderboard.json": leaderboard(runs)}
    with finished_folder(plots) as plots_folder, finished_folder(report) as report_folder:
        _write_plots(plots_folder, runs, synthetic)
        write_page(report_folder, runs, synthetic)
        for name, value in numbers.items():  # the last: nothing can go wrong in the inputs now
            with finished_file(metrics / name) as file:
                write_json(file, value)
    write_script(report.parent)


def _write_plots(folder: Path, runs: list[Run], synthetic: Path) -> None:
    """One CSV a run and curve, the heat maps of the first seed, the preview of each unit.

    `dvc plots show` makes a plot of every file, `dvc plots diff` pairs files of the same name:
    the names mirror results/, and a method's training curves, which no two methods share, are
    a file each so that all have the same columns.
    """
    for run in runs:
        stem = f"{run.unit}/{run.method}-{run.seed}"
        _write_csv(folder / f"roc/{stem}.csv", run.curve("roc", "fpr", "tpr"))
        _write_csv(folder / f"pr/{stem}.csv", run.curve("pr", "recall", "precision"))
        curves = run.training_curves().set_index("epoch")
        for curve in curves:
            values = curves[curve].dropna().rename("value").reset_index()
            _write_csv(folder / f"training/{stem}/{curve}.csv", values)
        for name, points in run.robustness().groupby("disturbance", sort=False):
            _write_csv(folder / f"robustness/{stem}/{name}.csv", points[["step", "accuracy"]])
    for first, *_ in by_unit_and_method(runs).values():
        for entry in first.heatmaps():
            name = f"{first.unit}/{first.method}-{first.seed}-{Path(entry['file']).name}"
            link(first.results / entry["file"], folder / "heatmaps" / name)
    for unit in dict.fromkeys(run.unit for run in runs):
        link(preview(synthetic, unit), folder / "synthetic" / f"{unit}.png")


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")
