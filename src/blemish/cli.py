"""The `blemish` command: what DVC itself does not offer."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from blemish.errors import UserError
from blemish.evaluation.command import metrics
from blemish.predict.command import predict

app = typer.Typer(
    help="Blemish: industrial visual anomaly detection as a DVC pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages to run; all of the graph if none is named.")
    ] = None,
) -> None:
    """Do what `dvc repro` does, with progress, and show the leaderboard."""
    from blemish.params import load_params
    from blemish.runner import run as run_stages

    load_params()
    status = run_stages(targets or [], Console())
    if status:
        raise typer.Exit(status)
    if not targets:
        leaderboard()


@app.command()
def leaderboard() -> None:
    """Print the results of the grid in params.yaml, and where to read on."""
    from blemish.params import load_params
    from blemish.report.collect import load_runs
    from blemish.report.console import print_leaderboard

    params = load_params()
    grid = (params.units, params.methods, params.seeds)
    console = Console()
    print_leaderboard(load_runs(Path("models"), Path("results"), *grid), console)
    console.print(
        "\nreport   report/index.html\nmetrics  metrics/summary.json, `dvc exp show`, "
        "`dvc plots show`\nruns     `make ui` opens MLflow",
        highlight=False,
    )


@app.command()
def params() -> None:
    """Check params.yaml; say what it would run."""
    from blemish.params import load_params

    checked = load_params()
    runs = len(checked.units) * len(checked.methods) * len(checked.seeds)
    print(
        f"params.yaml is valid: {runs} run(s) = {len(checked.units)} unit(s) × "
        f"{len(checked.methods)} method(s) × {len(checked.seeds)} seed(s)"
    )


@app.command()
def units(
    unit: Annotated[
        str | None, typer.Argument(help="All about one unit, e.g. mvtec/screw.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON value.")] = False,
) -> None:
    """List the data sets, their units, and whether and how each can be had."""
    import json

    from blemish.data import catalogue
    from blemish.params import load_params

    folders = load_params().data.folders
    if as_json:
        found = catalogue.one_unit(unit, folders) if unit else catalogue.records(folders)
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif unit:
        catalogue.print_unit(unit, folders, Console())
    else:
        catalogue.print_catalogue(folders, Console())


@app.command()
def profile(
    name: Annotated[str, typer.Argument(help="A file in profiles/, such as paper or quick.")],
) -> None:
    """Write a profile's settings into params.yaml; `units`, `methods`, `seeds` stay."""
    from blemish.profiles import apply_profile

    changed = apply_profile(name, Path("profiles"), Path("params.yaml"))
    print(f"params.yaml: {len(changed)} value(s) changed" + "".join(f"\n  {c}" for c in changed))


app.command()(metrics)
app.command()(predict)


def main() -> None:
    """Entry point: a UserError becomes one line and exit status 1."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
