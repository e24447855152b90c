"""The `blemish` command: what DVC itself does not offer."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from blemish.commands.metrics import metrics
from blemish.commands.predict import predict
from blemish.core.errors import UserError

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
    jobs: Annotated[
        int | None,
        typer.Option(help="Stages at once; by default one a core, fewer where memory is short."),
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(help="The GPUs to use, e.g. 0,1; each stage sees one of them.")
    ] = None,
    per_gpu: Annotated[int, typer.Option(help="Stages at once on each GPU.")] = 1,
    retries: Annotated[
        int, typer.Option(help="How often a stage that was killed begins again.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(help="Run on a Ray cluster: auto, or host:port. Needs the extra `ray`."),
    ] = None,
    share_cache: Annotated[
        bool,
        typer.Option(help="Nodes that see DVC's cache take their inputs from it, not from Ray."),
    ] = True,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", help="KEY=VALUE to write into params.yaml first."),
    ] = None,
) -> None:
    """Do what `dvc repro` does, many stages at once, and show the leaderboard.

    A stage's own output goes to logs/. Results, dvc.lock and caches are those of `dvc repro`.
    """
    from blemish.core.params import load_params
    from blemish.core.profiles import set_params
    from blemish.run.local import local_slots
    from blemish.run.run import ClusterOptions, run_on_cluster
    from blemish.run.run import run as run_stages

    if cluster is not None and (jobs is not None or gpus):
        raise UserError("--cluster excludes --jobs and --gpus: its nodes say what they have")
    changed = set_params(overrides) if overrides else []
    print("".join(f"params.yaml: {line}\n" for line in changed), end="")
    load_params()
    if cluster is None:
        slots = local_slots(jobs, gpus, per_gpu)
        status = run_stages(targets or [], slots, Console(), retries)
    else:
        options = ClusterOptions(cluster, per_gpu, share_cache)
        status = run_on_cluster(targets or [], options, Console(), retries)
    if status:
        raise typer.Exit(status)
    if not targets:
        leaderboard()


@app.command()
def clean() -> None:
    """Remove what killed runs left: checkpoints, unfinished files, logs. No result is touched."""
    from blemish.run.cleaning import clean as remove

    for line in remove(Path()):
        print(line)


@app.command()
def leaderboard() -> None:
    """Print the results of the grid in params.yaml, and where to read on."""
    from blemish.core.params import load_params
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
    from blemish.core.params import load_params

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

    from blemish.core.params import load_params
    from blemish.datasets import catalogue

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
    from blemish.core.profiles import apply_profile

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
