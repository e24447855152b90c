"""MLflow tracking: what the stages' outputs hold, replayed as one run for each result.

A stage that DVC restores from its cache does not execute, so a run logged while training would be
missing after it. Here the outputs carry everything, and logging reads only them: it can be
repeated, and an empty store is filled again.
"""

from collections.abc import Iterable, Iterator
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.core.places import project_folder
from blemish.core.workspace import Run, grid
from blemish.tracking import run_content
from blemish.tracking.logged_model import drop_models, log_model
from blemish.tracking.mlflow_store import (
    connect,
    experiment_in,
    explained,
    only_writer,
    tracking_uri,
)
from blemish.tracking.provenance import datasets, locked_stages, source_tags, times

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.entities import Run as MlflowRun

# MLflow's own limits on one request.
METRICS_A_BATCH = 1000
PARAMS_A_BATCH = 100


@dataclass(frozen=True)
class Tracked:
    """How many results were logged now, and how many MLflow held before."""

    added: int
    already: int


def track(
    models: Path,
    results: Path,
    units: Iterable[str],
    methods: Iterable[str],
    seeds: Iterable[int],
    experiment: str,
    uri: str | None,
    root: Path,
) -> Tracked:
    """Make MLflow hold exactly one finished run for each (unit, method, seed) result on disk.

    A result is known by the tag `blemish.result`, a hash of its files; a known one is left as it
    is, and a run that was killed half-way is deleted and logged anew. `root` is the workspace,
    the folder of dvc.lock. MLFLOW_TRACKING_URI goes before `uri`; the default is
    `sqlite:///<root>/mlflow.db`. Raises UserError when the store cannot be reached or written.
    """
    wanted: dict[str, Run] = {}
    for run in grid(models.absolute(), results.absolute(), units, methods, seeds):
        if all(path.is_file() for path in run_content.identity(run)):
            wanted[run_content.digest(run)] = run
        else:
            print(f"not tracked, no result yet: {run_content.title(run)}")
    address = tracking_uri(uri, root)
    # The store's files lie relative to the project, of which this may be a copy.
    root = root.absolute()
    with explained(address), only_writer(address, root), chdir(project_folder(root)):
        client = connect(address, experiment)
        experiment_id = experiment_in(client, experiment, address, root)
        finished = _drop_unfinished(client, experiment_id, set(wanted))
        new = {digest: run for digest, run in wanted.items() if digest not in finished}
        _log_all(client, experiment_id, new, root)
        _add_models(client, finished, wanted)
    counted = Tracked(added=len(new), already=len(wanted) - len(new))
    print(
        f"MLflow, experiment {experiment}: {counted.added} added, {counted.already} already there"
    )
    return counted


def _drop_unfinished(
    client: "MlflowClient", experiment_id: str, wanted: set[str]
) -> "dict[str, MlflowRun]":
    """The finished runs by digest; unfinished runs of wanted results are deleted."""
    finished = {}
    for run in list(_tagged_runs(client, experiment_id)):
        digest = run.data.tags[run_content.RESULT_TAG]
        if run.info.status == "FINISHED":
            finished[digest] = run
        elif digest in wanted:
            drop_models(client, experiment_id, run.info.run_id)
            client.delete_run(run.info.run_id)
    return finished


def _tagged_runs(client: "MlflowClient", experiment_id: str) -> Iterator["MlflowRun"]:
    having_tag = f"tags.`{run_content.RESULT_TAG}` LIKE '%'"
    token = None
    while True:
        page = client.search_runs([experiment_id], having_tag, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _log_all(client: "MlflowClient", experiment_id: str, new: dict[str, Run], root: Path) -> None:
    if not new:
        return
    stages, common = locked_stages(root), source_tags(root)
    for number, (digest, run) in enumerate(new.items(), start=1):
        title = run_content.title(run)
        if len(new) > 1:
            print(f"tracking {number}/{len(new)}: {title}", flush=True)
        tags = common | run_content.tags(run) | {run_content.RESULT_TAG: digest}
        began, ended = (int(1000 * seconds) for seconds in times(run, root))
        created = client.create_run(experiment_id, began, tags, title)
        run_id = created.info.run_id
        try:
            model = log_model(client, experiment_id, run_id, run, tags)
            _log(client, run_id, run, model, ended, datasets(run, stages))
        except BaseException:
            # Only for the eye in MLflow's pages: any status but FINISHED is logged anew.
            with suppress(Exception):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED", ended)


def _add_models(
    client: "MlflowClient", finished: dict[str, "MlflowRun"], wanted: dict[str, Run]
) -> None:
    """Give runs that an earlier version has logged their models."""
    for digest, logged in finished.items():
        has_model = logged.outputs and logged.outputs.model_outputs
        if digest in wanted and not has_model:
            run = wanted[digest]
            tags = run_content.tags(run) | {run_content.RESULT_TAG: digest}
            log_model(client, logged.info.experiment_id, logged.info.run_id, run, tags)


def _log(
    client: "MlflowClient",
    run_id: str,
    run: Run,
    model: str,
    ended: int,
    inputs: "list[DatasetInput]",
) -> None:
    """Log all but the model, to whose page, too, MLflow puts the final numbers."""
    from mlflow.entities import Metric, Param

    params = [Param(name, value) for name, value in run_content.params(run).items()]
    for start in range(0, len(params), PARAMS_A_BATCH):
        client.log_batch(run_id, params=params[start : start + PARAMS_A_BATCH])
    measured_on = {one.dataset.name: one.dataset.digest for one in inputs}
    points = []
    for name, value in run_content.metrics(run).items():
        data = run_content.measured_on(run, name)
        points.append(Metric(name, value, ended, 0, model, data, measured_on[data], run_id))
    points += [Metric(name, value, ended, step) for name, step, value in run_content.curves(run)]
    for start in range(0, len(points), METRICS_A_BATCH):
        client.log_batch(run_id, metrics=points[start : start + METRICS_A_BATCH])
    client.log_inputs(run_id, inputs)
    client.log_artifacts(run_id, str(run.results))
