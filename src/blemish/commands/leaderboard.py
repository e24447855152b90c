"""`blemish leaderboard`: the results of the grid in params.yaml, in the terminal."""

from typing import Annotated

import typer

Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        help="Order the methods of each unit by a number, the best first: a metric such as "
        "pixel_aupro, or recall, false_alarms, precision, robust.",
    ),
]


def leaderboard(sort: Sort = None) -> None:
    """Print the results of the grid in params.yaml, and where to read on.

    Example: blemish leaderboard --sort pixel_aupro
    """
    from pathlib import Path

    from rich.console import Console

    from blemish.core.params import load_params
    from blemish.core.workspace import MODELS, RESULTS, grid
    from blemish.report.console import print_leaderboard
    from blemish.report.tables import scoring_times

    params, console = load_params(), Console()
    runs = grid(MODELS, RESULTS, params.units, params.methods, params.seeds)
    print_leaderboard([run.check() for run in runs], console, scoring_times(runs, Path()), sort)
    console.print(
        "\nreport   report/index.html\nmetrics  metrics/summary.json, `dvc exp show`, "
        "`dvc plots show`\nruns     `make ui` opens MLflow",
        highlight=False,
    )
