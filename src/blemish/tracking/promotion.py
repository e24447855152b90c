"""Which of a unit's models is the champion: chosen by validation, told to MLflow and to DVC."""

from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.params import Params, TrackingParams
from blemish.core.places import project_folder
from blemish.core.workspace import MODELS, RESULTS, Run, grid
from blemish.tracking import run_content
from blemish.tracking.champions import write_champion
from blemish.tracking.mlflow_store import (
    connect,
    experiment_in,
    explained,
    only_writer,
    tracking_uri,
)
from blemish.tracking.registry import Registry, registry_name

SELECTION = "selection_"  # before metrics of the real defects set apart for choosing


def promote(params: Params, units: Sequence[str], root: Path) -> Iterator[str]:
    """Make the best model of each unit its champion; yields a line a unit.

    The best is the first that `ranked` gives, of the results in the workspace `root`. The champion
    before becomes `previous`. Raises UserError for a unit without results, or whose best model
    MLflow does not hold; then no unit has changed.
    """
    best = {unit: ranked(params, unit, root)[0] for unit in units}
    with _registry(params.tracking, root) as registry:
        models = {unit: registry.model_of(run) for unit, run in best.items()}
        for unit, run in best.items():
            why = f"{_criterion(params)} {_value(params, run):.4g}"
            changed = registry.promote(unit, models[unit], why)
            _tell_dvc(root, run)
            now = "is the champion" if changed else "was the champion already"
            yield f"{registry_name(unit)}: {run.method} seed {run.seed} {now}, {why}"


def promote_back(params: Params, units: Sequence[str], root: Path) -> Iterator[str]:
    """Let champion and previous of each unit change places; yields lines on it.

    Raises UserError for a unit without a previous champion.
    """
    with _registry(params.tracking, root) as registry:
        for unit in units:
            tags = registry.back(unit).tags
            method, seed = tags["method"], int(tags["seed"])
            (run,) = grid(root / MODELS, root / RESULTS, [unit], [method], [seed])
            yield f"{registry_name(unit)}: {method} seed {seed} is the champion again"
            if _is_there(run) and run_content.digest(run) == tags[run_content.RESULT_TAG]:
                _tell_dvc(root, run)
            else:
                yield f"note: {run.model} is another model by now, so DVC's champion stays"


def ranked(params: Params, unit: str, root: Path) -> list[Run]:
    """A unit's results, the best first: by `tracking.promote_by`, of the validation set or of the
    real defects set apart for choosing.

    Equal ones stay in the order of params.yaml. What was measured on the test set does not count.
    Raises UserError where there are none.
    """
    runs = grid(root / MODELS, root / RESULTS, [unit], params.methods, params.seeds)
    judged = [run for run in runs if _is_there(run) and _value(params, run) > float("-inf")]
    if not judged:
        hint = "run `dvc repro` first"
        if params.tracking.promote_by.startswith(SELECTION):
            hint = "set real defects apart with `data.selection` or `blemish review`, then " + hint
        raise UserError(f"{unit}: no result with a {_criterion(params)}: {hint}")
    return sorted(judged, key=lambda run: -_value(params, run))


def _criterion(params: Params) -> str:
    """In words: which numbers of which images choose."""
    name = params.tracking.promote_by
    metric = name.removeprefix(SELECTION)
    return f"validation {name}" if metric == name else f"{metric} on real defects set apart"


def _value(params: Params, run: Run) -> float:
    name = params.tracking.promote_by
    part = "selection" if name.startswith(SELECTION) else "validation"
    value = run.record.get(part, {}).get(name.removeprefix(SELECTION))
    return float("-inf") if value is None else float(value)


def _is_there(run: Run) -> bool:
    return all(file.is_file() for file in run_content.identity(run))


def _tell_dvc(root: Path, run: Run) -> None:
    facts = {"unit": run.unit, "method": run.method, "seed": run.seed}
    write_champion(root, run.unit, run.model, facts)


@contextmanager
def _registry(settings: TrackingParams, root: Path) -> Iterator[Registry]:
    """The registry of the store in which `track` logs."""
    import mlflow

    address = tracking_uri(settings.uri, root)
    with explained(address), only_writer(address, root), chdir(project_folder(root)):
        client = connect(address, settings.experiment)
        mlflow.set_tracking_uri(address)  # where the registry looks for a version's model
        yield Registry(client, experiment_in(client, settings.experiment, address, root))
