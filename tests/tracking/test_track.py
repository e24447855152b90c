"""MLflow on SQLite holds each result of a workspace once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from blemish.core.errors import UserError
from blemish.tracking.mlflow_store import home, tracking_uri
from blemish.tracking.track import RESULT_TAG, Tracked, track

UNITS, METHODS, SEEDS = ["elpv/mono", "lcdsim/grey"], ["glass"], [0]
EXPERIMENT = "blemish"

METRICS = {
    "unit": "elpv/mono",
    "method": "glass",
    "seed": 0,
    "protocol": "honest",
    "resolution": "original",
    "input_size": [224, 224],
    "masks": "none",
    "counts": {"train": 900, "val": 160, "test_good": 220, "test_defective": 50},
    "metrics": {"image_auroc": 0.91, "image_ap": 0.8, "pixel_auroc": None},
    "threshold": {"image": 0.43, "false_alarm_rate": 0.05, "precision": None, "recall": 0.7},
    "by_defect": {"crack (severe)/..": {"count": 9, "image_auroc": 0.95, "recall": 0.8}},
    "slices": {"weak-0.1": {"count": 40, "image_auroc": 0.66}},
    "by_area": {"q1": {"count": 3, "recall": 0.4, "area_from": 0.001, "area_to": 0.02}},
    "validation": {"image_auroc": 0.97},
    "notes": ["Boxes, not masks.", "No pixel metrics."],
}

MODEL = {
    "method": "glass",
    "params": {
        "epochs": 3,
        "lr": 1e-4,
        "layers": [2, 3],
        "noise": {"std": 0.015},
        "long": list(range(400)),
        "odd key!": None,
    },
    "preprocessing": {"size": 224, "order": "RGB"},
}

CURVES = "epoch,loss,validation_image_auroc\n0,1.5,\n1,0.75,0.9\n2,0.5,0.97\n"

LOCK = """
schema: '2.0'
stages:
  train@elpv/mono-glass-0:
    cmd: python stages/train.py
    deps:
    - path: data/prepared/elpv/mono
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
    - path: data/synthetic/elpv/mono
      hash: md5
      md5: fedcba9876543210fedcba9876543210.dir
  evaluate@elpv/mono-glass-0:
    cmd: python stages/evaluate.py
    deps:
    - path: data/prepared/elpv/mono
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
"""


def write_result(root: Path, unit: str, method: str = "glass", seed: int = 0) -> None:
    place = Path(unit) / f"{method}-{seed}"
    model, result = root / "models" / place, root / "results" / place
    (result / "curves").mkdir(parents=True)
    (result / "heatmaps").mkdir()
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(f"weights of {unit}".encode())
    (model / "model.json").write_text(json.dumps(MODEL | {"method": method}))
    (model / "curves.csv").write_text(CURVES)
    (result / "metrics.json").write_text(json.dumps(METRICS | {"unit": unit, "seed": seed}))
    pq.write_table(pa.table({"image": ["a.png"], "score": [0.3]}), result / "scores.parquet")
    (result / "curves/roc.csv").write_text("fpr,tpr,threshold\n0,0,1\n1,1,0\n")
    (result / "heatmaps/missed-01.png").write_bytes(b"\x89PNG")
    (result / "heatmaps.json").write_text("[]")


def make_workspace(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for unit in UNITS:
        write_result(root, unit)
    (root / "dvc.lock").write_text(LOCK)
    return root


def track_all(root: Path, uri: str | None = None, **grid: list) -> Tracked:
    axes = {"units": UNITS, "methods": METHODS, "seeds": SEEDS} | grid
    return track(
        root / "models", root / "results", **axes, experiment=EXPERIMENT, uri=uri, root=root
    )


def active_runs(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


@pytest.fixture(autouse=True)
def no_tracking_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def run(workspace: Path) -> Run:
    """The tracked run of elpv/mono."""
    found = active_runs(f"sqlite:///{workspace}/mlflow.db")
    return next(run for run in found if run.data.tags["unit"] == "elpv/mono")


def test_tracking_again_adds_nothing(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert track_all(workspace) == Tracked(added=0, already=2)
    names = [run.info.run_name for run in active_runs(f"sqlite:///{workspace}/mlflow.db")]
    assert sorted(names) == ["elpv/mono glass 0", "lcdsim/grey glass 0"]
    shown = capfd.readouterr()
    assert shown.out == "MLflow, experiment blemish: 0 added, 2 already there\n"
    assert shown.err == ""


def test_run_is_finished_and_tagged_with_its_source(workspace: Path, run: Run) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=workspace, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert run.info.status == "FINISHED"
    expected = {
        "mlflow.source.git.commit": head,
        "dvc.stage": "evaluate@elpv/mono-glass-0",
        "dvc.exp_name": "brave-tile",
        "dvc.exp_baseline_rev": "1" * 40,
        "blemish.protocol": "honest",
        "unit": "elpv/mono",
        "method": "glass",
        "seed": "0",
        "mlflow.note.content": "Boxes, not masks.\n\nNo pixel metrics.",
    }
    assert expected.items() <= run.data.tags.items()


def test_params_are_flat_and_long_ones_cut(run: Run) -> None:
    expected = {
        "epochs": "3",
        "lr": "0.0001",
        "layers": "[2, 3]",
        "noise.std": "0.015",
        "odd key_": "null",
        "preprocessing.size": "224",
        "preprocessing.order": "RGB",
        "input_size": "[224, 224]",
        "resolution": "original",
        "counts.train": "900",
        "method": "glass",
    }
    assert expected.items() <= run.data.params.items()
    assert len(run.data.params["long"]) < 600
    assert run.data.params["long"].endswith("characters, all in model/model.json)")


def test_metrics_have_the_names_of_metrics_json(run: Run) -> None:
    final = {name: value for name, value in run.data.metrics.items() if name != "loss"}
    assert final == {
        "image_auroc": 0.91,
        "image_ap": 0.8,
        "threshold_image": 0.43,
        "threshold_false_alarm_rate": 0.05,
        "threshold_recall": 0.7,
        "validation_image_auroc": 0.97,
        "defect/crack _severe__../count": 9,
        "defect/crack _severe__../image_auroc": 0.95,
        "defect/crack _severe__../recall": 0.8,
        "area/q1/count": 3,
        "area/q1/recall": 0.4,
        "area/q1/area_from": 0.001,
        "area/q1/area_to": 0.02,
        "slice/weak-0.1/count": 40,
        "slice/weak-0.1/image_auroc": 0.66,
        "curve_validation_image_auroc": 0.97,
    }


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("loss", [(0, 1.5), (1, 0.75), (2, 0.5)]),
        ("curve_validation_image_auroc", [(1, 0.9), (2, 0.97)]),
        ("validation_image_auroc", [(0, 0.97)]),
    ],
)
def test_curves_are_metrics_by_epoch(
    workspace: Path, run: Run, name: str, points: list[tuple[int, float]]
) -> None:
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    history = client.get_metric_history(run.info.run_id, name)
    assert [(point.step, point.value) for point in history] == points


def test_inputs_carry_dvc_hashes(run: Run) -> None:
    inputs = {
        one.dataset.name: (one.dataset.digest, one.tags[0].value, json.loads(one.dataset.source))
        for one in run.inputs.dataset_inputs
    }
    prepared = "0123456789abcdef0123456789abcdef.dir"
    synthetic = "fedcba9876543210fedcba9876543210.dir"
    assert inputs == {
        "elpv/mono": (prepared, "training", {"uri": "data/prepared/elpv/mono"}),
        "elpv/mono synthetic": (synthetic, "training", {"uri": "data/synthetic/elpv/mono"}),
        "elpv/mono test": (prepared, "evaluation", {"uri": "data/prepared/elpv/mono"}),
    }


def test_stage_missing_from_the_lock_has_no_hash(workspace: Path) -> None:
    found = active_runs(f"sqlite:///{workspace}/mlflow.db")
    other = next(run for run in found if run.data.tags["unit"] == "lcdsim/grey")
    assert {one.dataset.digest for one in other.inputs.dataset_inputs} == {"unknown"}


def test_artifacts_lie_beside_the_database(workspace: Path, run: Run, tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    fetched = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert {str(path.relative_to(fetched)) for path in fetched.rglob("*") if path.is_file()} == {
        "model/model.safetensors",
        "model/model.json",
        "model/curves.csv",
        "metrics.json",
        "scores.parquet",
        "curves/roc.csv",
        "heatmaps/missed-01.png",
        "heatmaps.json",
    }
    assert (fetched / "model/model.safetensors").read_bytes() == b"weights of elpv/mono"
    kept = workspace / "mlruns" / EXPERIMENT / run.info.run_id / "artifacts/metrics.json"
    assert kept.is_file()


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


def test_result_that_does_not_exist_is_named_not_tracked(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track_all(workspace, seeds=[0, 7]) == Tracked(added=0, already=2)
    assert "not tracked, no result yet: elpv/mono glass 7" in capsys.readouterr().out


def test_temporary_experiment_folders_use_the_repositorys_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    assert home(copy) == tmp_path
    assert home(tmp_path) == tmp_path
    assert tracking_uri(None, copy) == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracking_uri("sqlite:////srv/m.db", copy) == "sqlite:////srv/m.db"
    assert tracking_uri("http://host:5000", copy) == "http://host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///own.db?timeout=30")
    assert tracking_uri("http://host:5000", copy) == f"sqlite:///{tmp_path}/own.db?timeout=30"
