"""What a run in MLflow holds of a result: source, parameters, metrics, inputs, files."""

import json
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from blemish.core.workspace import Run as Result
from blemish.tracking import run_content
from tests.tracking.results import EXPERIMENT, METRICS, active_runs, write_result


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
        "preprocessing.height": "224",
        "preprocessing.width": "320",
        "preprocessing.resize": "fit",
        "input_size": "[224, 224]",
        "resolution": "original",
        "counts.train": "900",
        "method": "glass",
    }
    assert expected.items() <= run.data.params.items()
    assert len(run.data.params["long"]) < 600
    assert run.data.params["long"].endswith("characters, all in the model's model.json)")


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


def test_real_defects_for_choosing_are_metrics_of_the_prepared_unit(tmp_path: Path) -> None:
    real = {"count": 4, "recall": 0.5, "slices": {"feedback": {"recall": 0.5}}, "thresholds": []}
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS | {"selection": real}))
    run = Result("elpv/mono", "glass", 0, tmp_path, tmp_path)
    found = {name: value for name, value in run_content.metrics(run).items()
             if name.startswith("selection")}  # fmt: skip
    assert found == {"selection_count": 4, "selection_recall": 0.5}
    assert run_content.measured_on(run, "selection_recall") == "elpv/mono"


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


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("A [x]", "A (x)"), {"A _x__27de3e", "A _x__d22359"}),
        (("A _x_", "A (x)"), {"A _x_", "A _x__d22359"}),
        (("a/b", "a_b"), {"a_b_c14cdd", "a_b"}),
        (("A [x]",), {"A _x_"}),
    ],
)
def test_each_defect_type_is_a_metric_of_its_own(
    tmp_path: Path, types: tuple[str, ...], expected: set[str]
) -> None:
    write_result(tmp_path, "elpv/mono")
    place = "elpv/mono/glass-0"
    file = tmp_path / "results" / place / "metrics.json"
    values = {name: {"recall": number / 10} for number, name in enumerate(types, 1)}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"by_defect": values}))
    found = Result("elpv/mono", "glass", 0, tmp_path / "models" / place, file.parent)
    named = {n: v for n, v in run_content.metrics(found).items() if n.startswith("defect/")}
    assert named.keys() == {f"defect/{name}/recall" for name in expected}
    assert sorted(named.values()) == [number / 10 for number in range(1, len(types) + 1)]


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


def test_artifacts_lie_beside_the_database(
    workspace: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)  # where MLflow is started: its paths are relative to the project
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    fetched = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert {str(path.relative_to(fetched)) for path in fetched.rglob("*") if path.is_file()} == {
        "metrics.json",
        "scores.parquet",
        "curves/roc.csv",
        "heatmaps/missed-01.png",
        "heatmaps.json",
    }
    kept = workspace / "mlruns" / EXPERIMENT / run.info.run_id / "artifacts/metrics.json"
    assert kept.is_file()
