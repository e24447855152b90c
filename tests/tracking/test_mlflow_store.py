"""Which store is used, and what is said where it cannot be."""

import os
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from blemish.core.errors import UserError
from blemish.core.places import project_folder
from blemish.tracking.mlflow_store import tracking_uri
from blemish.tracking.track import track
from tests.tracking.results import METHODS, SEEDS, UNITS, track_all


def test_unreachable_server_is_one_line_in_seconds(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        track_all(workspace)
    message = str(caught.value)
    assert message.startswith("MLflow at http://someone:***@127.0.0.1:9 failed:")
    assert "secret" not in message
    assert "MLFLOW_TRACKING_URI" in message
    assert "dvc repro track" in message
    assert time.monotonic() - began < 60
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_deleted_experiment_is_named(tmp_path: Path, workspace: Path) -> None:
    uri = f"sqlite:///{workspace}/mlflow.db"
    client = MlflowClient(uri)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(UserError, match=r"experiment gone is deleted .*mlflow experiments restore"):
        track(tmp_path, tmp_path, UNITS, METHODS, SEEDS, "gone", uri, workspace)


def test_temporary_experiment_folders_use_the_repositorys_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    assert project_folder(copy) == tmp_path
    assert project_folder(tmp_path) == tmp_path
    assert tracking_uri(None, copy) == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracking_uri("sqlite:////srv/m.db", copy) == "sqlite:////srv/m.db"
    assert tracking_uri("http://host:5000", copy) == "http://host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///own.db?timeout=30")
    assert tracking_uri("http://host:5000", copy) == f"sqlite:///{tmp_path}/own.db?timeout=30"
