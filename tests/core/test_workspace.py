"""The runs of a workspace: where their files are, which are there, and how faults are said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from blemish.core.errors import UserError
from blemish.core.workspace import Run, evaluated_runs, grid, preview
from tests.browser.workspace import MASKED, METHODS, SEEDS, UNITS, make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_workspace(tmp_path, {unit: ["spot"] for unit in UNITS}, METHODS, SEEDS)
    return tmp_path


def one_run(root: Path) -> Run:
    (run,) = grid(root / "models", root / "results", [MASKED], ["glass"], [1])
    return run


def test_importing_it_is_cheap() -> None:
    code = "import sys, blemish.core.workspace; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": "src"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "torch", "PIL", "pyarrow"} & set(done.stdout.split())


def test_a_run_has_its_folders_and_its_name_in_the_graph(workspace: Path) -> None:
    run = one_run(workspace)
    assert run.name == "lcdsim/grey-glass-1"
    assert run.model == workspace / "models/lcdsim/grey/glass-1"
    assert run.results == workspace / "results/lcdsim/grey/glass-1"
    assert run.check() is run
    assert run.metrics == json.loads((run.results / "metrics.json").read_text())["metrics"]
    assert list(run.draws) == list(pd.read_parquet(run.results / "bootstrap.parquet"))


def test_what_was_evaluated_is_found_without_a_list(workspace: Path) -> None:
    (workspace / "results/elpv/mono/notes").mkdir()
    (workspace / "results/elpv/mono/glass-0/metrics.json").unlink()
    runs = evaluated_runs(workspace / "models", workspace / "results")
    assert [run.name for run in runs] == [
        *("elpv/mono-dmad-0", "elpv/mono-dmad-1", "elpv/mono-glass-1"),
        *(f"lcdsim/grey-{method}-{seed}" for method in ("dmad", "glass") for seed in (0, 1)),
    ]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.json", "[]", "not a JSON object"),
        ("metrics.json", "{}", "no `unit` in it"),
        ("heatmaps.json", '[{"file": "a.png"}]', "no `kind` in it"),
        ("curves/roc.csv", "fpr\n0\n", "no column `tpr`"),
    ],
)
def test_a_broken_result_is_one_line_with_the_fix(
    workspace: Path, file: str, content: str, message: str
) -> None:
    run = one_run(workspace)
    (run.results / file).write_text(content)
    with pytest.raises(UserError) as caught:
        _ = run.record, run.heatmaps(), run.curve("roc", "fpr", "tpr")
    assert str(caught.value) == (
        f"{run.results / file} is broken ({message}): delete it and run "
        "`dvc repro evaluate@lcdsim/grey-glass-1`"
    )


@pytest.mark.parametrize(
    ("curves", "line"),
    [("epoch,loss\n0,1\n1,what\n", 3), ("epoch,loss\n0.5,1\n", 2), ("epoch,loss\n,1\n", 2)],
)
def test_training_curves_are_epochs_and_numbers(workspace: Path, curves: str, line: int) -> None:
    run = one_run(workspace)
    (run.model / "curves.csv").write_text(curves)
    with pytest.raises(UserError, match=rf"curves\.csv .*line {line}: .*`dvc repro train@lcdsim"):
        run.training_curves()


def test_what_is_missing_names_the_stage(workspace: Path) -> None:
    run = one_run(workspace)
    with pytest.raises(UserError, match=r"model\.json is missing: run `dvc repro train@"):
        _ = run.description
    with pytest.raises(UserError, match=r"preview\.png is missing: run `dvc repro synthesize@a/b`"):
        preview(workspace, "a/b")
