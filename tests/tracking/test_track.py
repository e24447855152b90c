"""MLflow on SQLite holds each result of a workspace once."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from blemish.core.errors import UserError
from blemish.tracking.run_content import RESULT_TAG
from blemish.tracking.track import Tracked
from tests.tracking.results import (
    CURVES,
    EXPERIMENT,
    METHODS,
    SEEDS,
    UNITS,
    active_runs,
    make_workspace,
    track_all,
)


def test_tracking_again_adds_nothing(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert track_all(workspace) == Tracked(added=0, already=2)
    names = [run.info.run_name for run in active_runs(f"sqlite:///{workspace}/mlflow.db")]
    assert sorted(names) == ["elpv/mono glass 0", "lcdsim/grey glass 0"]
    shown = capfd.readouterr()
    assert shown.out == "MLflow, experiment blemish: 0 added, 2 already there\n"
    assert shown.err == ""


def test_empty_store_is_filled_anew_and_a_killed_run_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_workspace(tmp_path / "root")
    uri = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (root / "dvc.lock").write_text("stages: [not, a, mapping")
    assert track_all(root, uri="sqlite:///ignored.db") == Tracked(added=2, already=0)
    client = MlflowClient(uri)
    whole = active_runs(uri)
    killed = next(run for run in whole if run.data.tags["unit"] == "elpv/mono").info
    client.update_run(killed.run_id, status="RUNNING")

    assert track_all(root) == Tracked(added=1, already=1)
    now = active_runs(uri)
    assert {run.info.status for run in now} == {"FINISHED"}
    assert len(now) == 2
    assert killed.run_id not in {run.info.run_id for run in now}

    # Another result of the same unit, method and seed is another run; an old one stays.
    (root / "models/elpv/mono/glass-0/model.safetensors").write_bytes(b"other weights")
    assert track_all(root) == Tracked(added=1, already=1)
    assert len({run.data.tags[RESULT_TAG] for run in active_runs(uri)}) == 3

    # What cannot be logged whole is not taken for whole: the next time it is logged again.
    curves = root / "models/elpv/mono/glass-0/curves.csv"
    curves.write_text("epoch,loss\n0,1\n1,what\n")
    (root / "models/elpv/mono/glass-0/model.safetensors").write_bytes(b"third weights")
    with pytest.raises(UserError, match=r"curves\.csv .*line 3: not an epoch and numbers"):
        track_all(root)
    assert {run.info.status for run in active_runs(uri)} == {"FINISHED", "FAILED"}
    curves.write_text(CURVES)
    assert track_all(root) == Tracked(added=1, already=1)
    assert [run.info.status for run in active_runs(uri)] == ["FINISHED"] * 4


def test_two_processes_on_a_fresh_store_log_each_result_once(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    script = (
        "import sys; from pathlib import Path; from blemish.tracking.track import track;"
        "root = Path(sys.argv[1]);"
        f"print(track(root / 'models', root / 'results', {UNITS}, {METHODS}, {SEEDS},"
        f" {EXPERIMENT!r}, None, root).added)"
    )
    command = [sys.executable, "-c", script, str(root)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert [error for _, error in outputs] == ["", ""]
    added = sorted(int(text.splitlines()[-1]) for text, _ in outputs)
    assert added == [0, 2]
    assert len(active_runs(f"sqlite:///{root}/mlflow.db")) == 2


def test_result_that_does_not_exist_is_named_not_tracked(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track_all(workspace, seeds=[0, 7]) == Tracked(added=0, already=2)
    assert "not tracked, no result yet: elpv/mono glass 7" in capsys.readouterr().out
