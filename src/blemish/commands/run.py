"""`blemish run`: do what `dvc repro` does, many stages at once."""

from typing import Annotated

import typer

from blemish.commands.leaderboard import leaderboard
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
    remote: Annotated[
        str | None,
        typer.Option(help="Carry a cluster's results by this DVC remote; else by a shared cache."),
    ] = None,
    include_uncommitted: Annotated[
        bool, typer.Option(help="Send uncommitted files to the cluster, too.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", help="KEY=VALUE to write into params.yaml first."),
    ] = None,
) -> None:
    """Do what `dvc repro` does, many stages at once, and show the leaderboard.

    A stage's own output goes to logs/. Results, dvc.lock and caches are those of `dvc repro`.
    """
    from rich.console import Console

    from blemish.core.params import load_params
    from blemish.core.profiles import set_params
    from blemish.run.run import ClusterOptions, run_on_cluster
    from blemish.run.run import run as run_stages
    from blemish.run.slots import local_slots

    if cluster is None and (remote or include_uncommitted):
        raise UserError("--remote and --include-uncommitted are for --cluster: give its address")
    if cluster is not None and (jobs is not None or gpus):
        raise UserError("--cluster excludes --jobs and --gpus: its nodes say what they have")
    changed = set_params(overrides) if overrides else []
    print("".join(f"params.yaml: {line}\n" for line in changed), end="")
    load_params()
    if cluster is None:
        slots = local_slots(jobs, gpus, per_gpu)
        status = run_stages(targets or [], slots, Console(), retries)
    else:
        options = ClusterOptions(cluster, per_gpu, remote, include_uncommitted, bool(overrides))
        status = run_on_cluster(targets or [], options, Console(), retries)
    if status:
        raise typer.Exit(status)
    if not targets:
        leaderboard()
