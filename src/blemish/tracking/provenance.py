"""Where a result comes from: git commit, DVC experiment, and the data's hashes in dvc.lock."""

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from blemish.core.stage_times import stage_times
from blemish.core.workspace import Run
from blemish.tracking import run_content

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

Stages = dict[str, dict[str, Any]]  # of dvc.lock, by name

# What MLflow demands in place of a hash that dvc.lock does not hold.
NO_DIGEST = "unknown"
LONGEST_DIGEST = 36


def source_tags(root: Path) -> dict[str, str]:
    """Tags on the code: the commit checked out in `root`, the DVC experiment that is running."""
    tags = {
        "mlflow.source.git.commit": _commit(root),
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.exp_baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    return {name: value for name, value in tags.items() if value}


def _commit(root: Path) -> str:
    """The commit's hash, or "" outside a repository, before its first commit, without git."""
    command = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def times(run: Run, root: Path) -> tuple[float, float]:
    """When training began and evaluation ended, in seconds since 1970.

    Of a result that was made elsewhere, or restored from DVC's cache, only its files' times are
    known: when the model and when the numbers were written.
    """
    written = [file.stat().st_mtime for file in run_content.identity(run)]
    model, numbers = run_content.identity(run)[0], run_content.identity(run)[-1]
    trained = stage_times(root, run_content.stage(run, "train"), model)
    evaluated = stage_times(root, run_content.stage(run, "evaluate"), numbers)
    began = trained[0] if trained else min(written)
    ended = evaluated[1] if evaluated else max(written)
    return began, max(began, ended)


def locked_stages(root: Path) -> Stages:
    """The stages of `root`'s dvc.lock by name; none if it is absent or not what DVC writes."""
    try:
        lock = YAML(typ="safe").load(root / "dvc.lock")
    except (OSError, YAMLError):
        return {}
    stages = lock.get("stages") if isinstance(lock, dict) else None
    return stages if isinstance(stages, dict) else {}


def datasets(run: Run, stages: Stages) -> list["DatasetInput"]:
    """The folders a run was made from, each with DVC's hash of it.

    MLflow keeps one context for a (name, digest) of a run, so what `evaluate` reads has its own
    name: the unit's test images.
    """
    unit = run.unit
    train, evaluate = (run_content.stage(run, kind) for kind in ("train", "evaluate"))
    folders = [
        (unit, f"data/prepared/{unit}", train, "training"),
        (f"{unit} synthetic", f"data/synthetic/{unit}", train, "training"),
        (f"{unit} test", f"data/prepared/{unit}", evaluate, "evaluation"),
    ]
    return [
        _dataset(name, folder, _dependency_hash(stages.get(stage), folder), context)
        for name, folder, stage, context in folders
    ]


def _dependency_hash(stage: dict[str, Any] | None, folder: str) -> str:
    for dependency in (stage or {}).get("deps", []):
        if dependency.get("path") == folder and dependency.get("md5"):
            return str(dependency["md5"])[:LONGEST_DIGEST]
    return NO_DIGEST


def _dataset(name: str, folder: str, digest: str, context: str) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    # The form of mlflow.data's MetaDataset on a local folder: a source that is named, not read.
    source = json.dumps({"uri": folder})
    dataset = Dataset(name=name, digest=digest, source_type="local", source=source)
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])
