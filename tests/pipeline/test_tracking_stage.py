"""After `dvc repro`, MLflow holds each result once, whatever was run and whatever was restored."""

import csv
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from .workspace import UNITS, Repro, Workspace


def store(workspace: Workspace) -> MlflowClient:
    return MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")


def runs(workspace: Workspace) -> dict[str, Run]:
    """The runs of the workspace's store by unit; each unit has one."""
    client = store(workspace)
    experiment = client.get_experiment_by_name("blemish")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    named = {run.data.tags["unit"]: run for run in found}
    assert len(named) == len(found)
    return named


def dependency(workspace: Workspace, stage: str, path: str) -> str:
    """The hash that dvc.lock holds."""
    entries = workspace.lock()[stage]["deps"]
    (found,) = [entry["md5"] for entry in entries if entry["path"] == path]
    return str(found)


@pytest.fixture(scope="module", params=UNITS)
def unit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_result_has_one_run(finished: Workspace) -> None:
    found = runs(finished)
    assert found.keys() == set(UNITS)
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_run_says_what_it_is_and_where_it_comes_from(finished: Workspace, unit: str) -> None:
    run = runs(finished)[unit]
    tags = run.data.tags
    assert (tags["unit"], tags["method"], tags["seed"]) == (unit, "glass", "0")
    assert tags["dvc.stage"] == f"evaluate@{unit}-glass-0"
    assert tags["blemish.protocol"] == "honest"
    # The results were committed after they had been tracked.
    assert tags["mlflow.source.git.commit"] == finished.git("rev-parse", "HEAD~1")
    assert "dvc.exp_name" not in tags
    assert run.data.params["epochs"] == "2"
    assert run.data.params["backbone"] == "efficientnet_lite0"


def test_a_run_has_the_numbers_of_the_result(finished: Workspace, unit: str) -> None:
    metrics: dict[str, Any] = finished.json(f"results/{unit}/glass-0/metrics.json")["metrics"]
    logged = runs(finished)[unit].data.metrics
    assert len(metrics) >= 9
    assert {name: logged[name] for name in metrics} == metrics


def test_a_run_has_the_training_curves(finished: Workspace, unit: str) -> None:
    client, run = store(finished), runs(finished)[unit]
    with (finished / f"models/{unit}/glass-0/curves.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert len(rows[0]) > 2
    for name in rows[0].keys() - {"epoch"}:
        history = client.get_metric_history(run.info.run_id, name)
        written = [(int(row["epoch"]), float(row[name])) for row in rows]
        assert [(point.step, point.value) for point in history] == written


def test_a_run_names_its_data_by_the_hashes_of_dvc(finished: Workspace, unit: str) -> None:
    inputs = {one.dataset.name: one for one in runs(finished)[unit].inputs.dataset_inputs}
    train, evaluate = f"train@{unit}-glass-0", f"evaluate@{unit}-glass-0"
    expected = {
        unit: dependency(finished, train, f"data/prepared/{unit}"),
        f"{unit} synthetic": dependency(finished, train, f"data/synthetic/{unit}"),
        f"{unit} test": dependency(finished, evaluate, f"data/prepared/{unit}"),
    }
    assert {name: one.dataset.digest for name, one in inputs.items()} == expected


def test_a_run_holds_figures_and_its_model_the_files(
    finished: Workspace, unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.root)
    run = runs(finished)[unit]
    (model,) = run.outputs.model_outputs
    address = f"sqlite:///{finished / 'mlflow.db'}"
    places = {"results": (f"runs:/{run.info.run_id}/", "."),
              "models": (f"models:/{model.model_id}", "data/model")}  # fmt: skip
    for folder, (uri, place) in places.items():
        held = Path(download_artifacts(uri, dst_path=str(tmp_path / folder), tracking_uri=address))
        source = finished / folder / unit / "glass-0"
        files = [path for path in source.rglob("*") if path.is_file()]
        assert len(files) >= 3
        for file in files:
            assert (held / place / file.relative_to(source)).read_bytes() == file.read_bytes()
    assert (tmp_path / "models/data/model/model.safetensors").is_file()
    assert list((tmp_path / "results/heatmaps").glob("*.png"))


def test_a_run_lasted_as_long_as_its_stages(finished: Workspace, unit: str) -> None:
    info = runs(finished)[unit].info
    times = [
        finished.json(f"logs/times/{kind}@{unit}-glass-0.json") for kind in ("train", "evaluate")
    ]
    assert info.start_time == int(1000 * times[0]["began"])
    assert info.end_time == int(1000 * times[1]["ended"])


def test_a_second_run_adds_nothing(finished: Workspace, again: Repro) -> None:
    assert "0 added, 2 already there" in again.text
    assert runs(finished).keys() == set(UNITS)


def comparable(workspace: Workspace) -> dict[str, Any]:
    """What makes the runs of two stores the same."""
    return {
        unit: (
            run.data.tags["blemish.result"],
            run.data.params,
            run.data.metrics,
            sorted((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs),
        )
        for unit, run in runs(workspace).items()
    }


def test_a_lost_store_is_filled_again(finished: Workspace, branch: Workspace) -> None:
    for path in branch.root.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(branch / "mlruns")
    done = branch.repro()
    assert done.ran == {"folder@parts", "track"}
    assert "2 added, 0 already there" in done.text
    assert comparable(branch) == comparable(finished)


def test_a_clone_that_shares_the_cache_restores_and_tracks(
    finished: Workspace, branch: Workspace, tmp_path: Path
) -> None:
    clone = Workspace(tmp_path / "clone")
    clone.base.mkdir()
    shutil.copytree(branch.photos, clone.photos)
    branch.git("clone", "--quiet", str(branch.root), str(clone.root))
    # As it was before anything had run: no dvc.lock.
    clone.git("checkout", "--quiet", "HEAD~1")
    assert not (clone / "dvc.lock").exists()
    clone.dvc("cache", "dir", "--local", str(branch / ".dvc/cache"))
    done = clone.repro()
    assert done.ran == {"folder@parts", "track"}
    assert done.cached == finished.lock().keys() - done.ran
    assert clone.lock() == finished.lock()
    assert comparable(clone) == comparable(finished)


def test_an_unreachable_store_costs_no_result(finished: Workspace, branch: Workspace) -> None:
    """`blemish run`: one clear line, all else kept; the next run logs each result once."""
    for path in branch.root.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(branch / "results")
    program = "from blemish.commands.app import main; main()"
    blemish = [sys.executable, "-c", program, "run", "--jobs", "2"]
    text = branch.run("env", "MLFLOW_TRACKING_URI=http://127.0.0.1:9", *blemish, fails=True)
    assert "    error: MLflow at http://127.0.0.1:9 failed: " in text
    assert "track failed: run the same command again, or `dvc repro track`" in text
    for unit in UNITS:
        assert f"evaluate@{unit}-glass-0 restored from the cache" in text
    assert branch.lock() == finished.lock()
    assert "2 added, 0 already there" in branch.run(*blemish)
    assert "0 added, 2 already there" in branch.run(*blemish)
    assert comparable(branch) == comparable(finished)
