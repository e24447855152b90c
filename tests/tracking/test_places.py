"""A project that is moved or copied keeps its runs' files, and writes into no other's."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from blemish.tracking.artifacts import folder_of
from blemish.tracking.track import Tracked
from tests.tracking.results import EXPERIMENT, active_runs, make_workspace, track_all


def files_of_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether MLflow, started in the project, finds each run's metrics.json and its model."""
    monkeypatch.chdir(root)
    address = f"sqlite:///{root}/mlflow.db"
    client, found = MlflowClient(address), []
    for run in active_runs(address):
        assert run.outputs is not None
        (model,) = run.outputs.model_outputs
        files = [*client.list_artifacts(run.info.run_id),
                 *client.list_logged_model_artifacts(model.model_id)]  # fmt: skip
        found.append({"metrics.json", "MLmodel"} <= {file.path for file in files})
    return found


def test_a_moved_project_keeps_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old/line 1", tmp_path / "new/line 1"
    track_all(make_workspace(old))
    new.parent.mkdir()
    old.rename(new)
    assert files_of_runs(new, monkeypatch) == [True, True]
    assert track_all(new) == Tracked(added=0, already=2)
    assert not old.exists()


def test_a_copy_writes_into_its_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, copy = make_workspace(tmp_path / "original"), tmp_path / "copy"
    track_all(original, units=["elpv/mono"])
    shutil.copytree(original, copy)
    before = sorted(original.rglob("*"))
    assert track_all(copy) == Tracked(added=1, already=1)
    assert sorted(original.rglob("*")) == before
    assert files_of_runs(copy, monkeypatch) == [True, True]
    assert files_of_runs(original, monkeypatch) == [True]


def make_absolute(root: Path) -> None:
    """The store as MLflow itself would have written it."""
    place = (root / "mlruns" / EXPERIMENT).as_uri()
    with closing(sqlite3.connect(root / "mlflow.db")) as rows, rows:
        rows.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?",
                     [place, EXPERIMENT])  # fmt: skip
        rows.execute("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", [place])
        rows.execute("UPDATE logged_models SET artifact_location = "
                     "? || '/models/' || model_id || '/artifacts'", [place])  # fmt: skip


def test_an_older_store_is_put_right_by_the_next_tracking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_workspace(tmp_path / "old"), tmp_path / "new"
    track_all(old)
    make_absolute(old)
    old.rename(new)
    assert files_of_runs(new, monkeypatch) == [False, False]
    track_all(new)
    assert files_of_runs(new, monkeypatch) == [True, True]


def test_a_store_outside_of_the_project_names_whole_paths(tmp_path: Path) -> None:
    root, database = make_workspace(tmp_path / "project"), tmp_path / "shared/mlflow.db"
    database.parent.mkdir()
    track_all(root, uri=f"sqlite:///{database}")
    uris = [run.info.artifact_uri for run in active_runs(f"sqlite:///{database}")]
    folder = folder_of(database, EXPERIMENT)
    assert len(uris) == 2
    assert all(uri.startswith(f"{folder.as_uri()}/") for uri in uris)


def test_a_copy_that_dvc_works_in_logs_into_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    copy = make_workspace(project / ".dvc/tmp/exps/tmp1")
    monkeypatch.chdir(copy)
    track_all(copy)
    shutil.rmtree(copy)
    assert files_of_runs(project, monkeypatch) == [True, True]
