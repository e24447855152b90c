"""`dvc exp run`, `dvc exp show`, `dvc metrics diff` and `dvc plots show` do what DVC documents."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from .workspace import RENDERED, Repro, Workspace

METRICS = {"image_auroc", "image_f1max", "pixel_aupro"}


@dataclass(frozen=True)
class Laboratory:
    """A workspace of one unit, and what the two experiments in it said.

    `longer` ran in the workspace, `seeds` in a copy below .dvc/tmp, as --queue does.
    """

    workspace: Workspace
    baseline: str
    longer: Repro
    seeds: Repro


@pytest.fixture(scope="module")
def laboratory(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    workspace = finished.branch(tmp_path_factory.mktemp("laboratory") / "base")
    workspace.set({"units": [RENDERED], "data.folders": {}})
    (workspace / "data/folders/parts.json").unlink()
    workspace.repro()
    baseline = workspace.commit("One unit")
    longer = workspace.experiment("--set-param", "glass.epochs=3")
    seeds = workspace.experiment("--temp", "--set-param", "seeds=[0,1]")
    return Laboratory(workspace, baseline, longer, seeds)


def test_an_experiment_runs_what_its_parameter_concerns(laboratory: Laboratory) -> None:
    run = f"{RENDERED}-glass-0"
    assert laboratory.longer.ran == {f"train@{run}", f"evaluate@{run}", "report", "track"}
    with (laboratory.workspace / f"models/{RENDERED}/glass-0/curves.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3"]


def test_another_seed_runs_its_own_stages(laboratory: Laboratory) -> None:
    run = f"{RENDERED}-glass-1"
    assert laboratory.seeds.ran == {f"train@{run}", f"evaluate@{run}", "report", "track"}


def test_an_experiment_in_a_copy_runs_the_code_of_the_copy(laboratory: Laboratory) -> None:
    log = laboratory.workspace.imports / f"train@{RENDERED}-glass-1.json"
    copies = laboratory.workspace / ".dvc/tmp/exps"
    imported = [Path(path) for path in json.loads(log.read_text(encoding="utf-8"))]
    assert len(imported) > 10
    assert all(path.is_relative_to(copies) for path in imported), imported


def test_a_parameter_that_does_not_exist_is_one_line(laboratory: Laboratory) -> None:
    said = laboratory.workspace.dvc("exp", "run", "--set-param", "glass.epoch=3", fails=True)
    assert "glass.epoch" in said
    assert "Traceback" not in said
    assert "Running stage" not in said


def revisions(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """What `dvc exp show` knows of the workspace, the baseline and each experiment, by name."""
    found = {}
    for baseline in json.loads(workspace.dvc("exp", "show", "--json")):
        found[baseline["name"] or baseline["rev"]] = baseline["data"]
        for experiment in baseline["experiments"] or []:
            for revision in experiment["revs"]:
                found[revision["name"]] = revision["data"]
    return found


def test_exp_show_has_a_handful_of_metrics(laboratory: Laboratory) -> None:
    shown = revisions(laboratory.workspace)
    assert shown.keys() == {"workspace", "main", laboratory.longer.name, laboratory.seeds.name}
    for data in shown.values():
        assert data["metrics"].keys() == {"metrics/summary.json"}
        summary = data["metrics"]["metrics/summary.json"]["data"]
        assert summary.keys() == {"glass"}
        assert summary["glass"].keys() == METRICS
    params = {name: data["params"]["params.yaml"]["data"] for name, data in shown.items()}
    assert params["main"]["glass"]["epochs"] == 2
    assert params[laboratory.longer.name]["glass"]["epochs"] == 3
    assert params[laboratory.seeds.name]["seeds"] == [0, 1]


def test_exp_show_can_be_narrow(laboratory: Laboratory) -> None:
    """Without options DVC shows every parameter and the hash of every dependency as well."""
    words = ("--only-changed", "--drop", "data|models|results|src|stages")
    table = laboratory.workspace.dvc("exp", "show", "--csv", *words)
    columns = table.splitlines()[0].split(",")
    assert {"Experiment", "glass.epochs", "seeds", "glass.pixel_aupro"} <= set(columns)
    assert len(columns) <= 9


def test_metrics_diff_compares_with_the_last_commit(laboratory: Laboratory) -> None:
    workspace = laboratory.workspace
    differences = json.loads(workspace.dvc("metrics", "diff", "--json"))
    before = json.loads(workspace.git("show", "HEAD:metrics/summary.json"))["glass"]
    after = workspace.json("metrics/summary.json")["glass"]
    changed = {name for name in METRICS if before[name] != after[name]}
    assert "pixel_aupro" in changed
    found = differences["metrics/summary.json"]
    assert found.keys() == {f"glass.{name}" for name in changed}
    for name in changed:
        assert found[f"glass.{name}"]["old"] == before[name]
        assert found[f"glass.{name}"]["new"] == after[name]


def plotted(page: Path) -> tuple[dict[str, list[dict[str, Any]]], list[Path]]:
    """The points of each curve on a page of DVC's, by its file, and the pictures."""
    text = page.read_text(encoding="utf-8")
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (\{.*\});", text)]
    curves = {spec["title"]["text"]: spec["data"]["values"] for spec in specs}
    return curves, [page.parent / source for source in re.findall(r'<img src="([^"]+)"', text)]


def test_plots_show_has_curves_and_pictures(laboratory: Laboratory) -> None:
    workspace = laboratory.workspace
    workspace.dvc("plots", "show", "--out", "shown")
    curves, pictures = plotted(workspace / "shown/index.html")
    run = f"{RENDERED}/glass-0"
    losses = ("loss_normal", "loss_global", "loss_local")
    assert curves.keys() == {
        *(f"plots/roc/{run}.csv", f"plots/pr/{run}.csv"),
        *(f"plots/training/{run}/{name}.csv" for name in losses),
    }
    for file, points in curves.items():
        with (workspace / file).open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) >= 3
        assert points == [row | {"rev": "workspace"} for row in rows]
    names = {picture.name for picture in pictures}
    stem = f"workspace_plots_heatmaps_{RENDERED.replace('/', '_')}_glass-0"
    kinds = ("missed", "found", "false_alarm", "quiet")
    assert names == {
        *(f"{stem}-{kind}-01.png" for kind in kinds),
        f"workspace_plots_synthetic_{RENDERED.replace('/', '_')}.png",
    }
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_plots_diff_puts_two_revisions_into_one_plot(laboratory: Laboratory) -> None:
    workspace = laboratory.workspace
    workspace.dvc("plots", "diff", "--out", "compared")
    curves, pictures = plotted(workspace / "compared/index.html")
    epochs = [
        (point["rev"], point["epoch"])
        for point in curves[f"plots/training/{RENDERED}/glass-0/loss_normal.csv"]
    ]
    assert sorted(epochs) == [
        *[("HEAD", epoch) for epoch in ("1", "2")],
        *[("workspace", epoch) for epoch in ("1", "2", "3")],
    ]
    assert len([picture for picture in pictures if picture.name.startswith("HEAD_")]) == 5


def test_mlflow_knows_the_experiments_by_their_names(laboratory: Laboratory) -> None:
    client = MlflowClient(f"sqlite:///{laboratory.workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("blemish")
    assert experiment is not None

    def named(name: str) -> Run:
        query = f"tags.`dvc.exp_name` = '{name}'"
        (run,) = client.search_runs([experiment.experiment_id], query)
        return run

    longer, seeds = named(laboratory.longer.name), named(laboratory.seeds.name)
    assert longer.data.params["epochs"] == "3"
    assert (longer.data.tags["seed"], seeds.data.tags["seed"]) == ("0", "1")
    for run in (longer, seeds):
        assert run.data.tags["dvc.exp_baseline_rev"] == laboratory.baseline
        assert run.data.tags["unit"] == RENDERED
        assert "unknown" not in {one.dataset.digest for one in run.inputs.dataset_inputs}
