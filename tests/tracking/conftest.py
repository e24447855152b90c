"""A tracked workspace, and an environment that names no other store."""

import subprocess
from pathlib import Path

import pytest
from mlflow.entities import Run

from blemish.tracking.track import Tracked
from tests.tracking.results import active_runs, make_workspace, track_all


@pytest.fixture(autouse=True)
def no_tracking_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with two results, tracked once under a DVC experiment."""
    root = make_workspace(tmp_path_factory.mktemp("work space") / "plan #1")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(root)]
    subprocess.run(["git", "init", "--quiet", root], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("DVC_EXP_NAME", "brave-tile")
        patch.setenv("DVC_EXP_BASELINE_REV", "1" * 40)
        assert track_all(root) == Tracked(added=2, already=0)
    return root


@pytest.fixture(scope="session")
def run(workspace: Path) -> Run:
    """The tracked run of elpv/mono."""
    found = active_runs(f"sqlite:///{workspace}/mlflow.db")
    return next(run for run in found if run.data.tags["unit"] == "elpv/mono")
