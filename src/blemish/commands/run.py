"""`blemish run`: do what `dvc repro` does, many stages at once."""

from typing import Annotated

import typer

from blemish.commands.leaderboard import leaderboard
from blemish.commands.reference import reference
from blemish.core.errors import UserError


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

    The last lines say whether its numbers are those of the reference (`blemish reference`).

    A stage's own output goes to logs/. Results, dvc.lock and caches are those of `dvc repro`.

    Exit status: 0; 1 if a stage failed; 130 on Ctrl-C.

    Example: blemish run --jobs 2 -S glass.epochs=40
    """
    if cluster is not None and (jobs is not None or gpus):
        raise UserError("--cluster excludes --jobs and --gpus: its nodes say what they have")
    status = _run_stages(
        targets or [], jobs, gpus, per_gpu, retries, cluster, share_cache, overrides or []
    )
    if status:
        raise typer.Exit(status)
    if not targets:
        leaderboard()
        reference()


def _run_stages(
    targets: list[str],
    jobs: int | None,
    gpus: str | None,
    per_gpu: int,
    retries: int,
    cluster: str | None,
    share_cache: bool,
    overrides: list[str],
) -> int:
    """Here or on a cluster; returns the exit status."""
    from rich.console import Console

    from blemish.core.profiles import set_params
    from blemish.run.local import local_slots
    from blemish.run.run import ClusterOptions, run, run_on_cluster

    def prepare() -> None:
        changed = set_params(overrides) if overrides else []
        print("".join(f"params.yaml: {line}\n" for line in changed), end="", flush=True)
        _tell_faults()

    if cluster is None:
        return run(targets, local_slots(jobs, gpus, per_gpu), Console(), retries, prepare)
    options = ClusterOptions(cluster, per_gpu, share_cache)
    return run_on_cluster(targets, options, Console(), retries, prepare)


def _tell_faults() -> None:
    """Say of the user's folders what will keep a unit from being made; the others go on."""
    from blemish.core.params import load_params
    from blemish.datasets.own_units import faults_of_folders

    params = load_params()
    faults = faults_of_folders(params.units, params.data.folders)
    for line in faults.absent + faults.wrong:
        print(f"note: {line}", flush=True)
