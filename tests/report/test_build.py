"""The report as files: which runs it reads, what it writes, what it leaves when it fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from blemish.core.errors import UserError
from tests.browser.workspace import MASKED, UNMASKED
from tests.report.runs import build_in, contents, load, load_runs


def test_only_the_listed_grid_is_read_in_the_order_of_the_lists(workspace: Path) -> None:
    runs = load_runs(workspace, [UNMASKED, MASKED], ["dmad"], [1, 0])
    assert [(run.unit, run.method, run.seed) for run in runs] == [
        (UNMASKED, "dmad", 1),
        (UNMASKED, "dmad", 0),
        (MASKED, "dmad", 1),
        (MASKED, "dmad", 0),
    ]


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("models/{run}/curves.csv", "train@lcdsim/grey-glass-0"),
        ("results/{run}/metrics.json", "evaluate@lcdsim/grey-glass-0"),
        ("results/{run}/scores.parquet", "evaluate@lcdsim/grey-glass-0"),
        ("results/{run}/curves/roc.csv", "evaluate@lcdsim/grey-glass-0"),
        ("results/{run}/curves/pro.csv", "evaluate@lcdsim/grey-glass-0"),
        ("results/{run}/heatmaps.json", "evaluate@lcdsim/grey-glass-0"),
        ("results/{run}/heatmaps/missed-01.png", "evaluate@lcdsim/grey-glass-0"),
        ("data/synthetic/lcdsim/grey/preview.png", "synthesize@lcdsim/grey"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_missing_or_broken_file_is_named_with_the_stage_that_makes_it(
    small: Path, file: str, stage: str, damage: str
) -> None:
    path = small / file.format(run=f"{MASKED}/glass-0")
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:3])
    with pytest.raises(UserError) as caught:
        build_in(small, [MASKED], ["glass"], [0])
    assert str(path) in str(caught.value)
    assert f"dvc repro {stage}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(entry.name for entry in small.iterdir()) == ["data", "models", "results"]


def test_results_of_another_run_are_refused(small: Path) -> None:
    path = small / "results" / MASKED / "glass-0" / "metrics.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"seed": 7}))
    with pytest.raises(UserError, match=r"another run.*evaluate@lcdsim/grey-glass-0"):
        load_runs(small, [MASKED], ["glass"], [0])


def test_the_headline_of_the_scores_is_the_main_test_set(workspace: Path) -> None:
    run = load(workspace)[0]
    scores = run.scores().query("headline")
    assert set(run.scores()["split"]) == {"test", "validation"}
    counts = run.record["counts"]
    assert set(scores["split"]) == {"test"}
    assert (scores["slice"] == "").all()
    assert (scores["label"] == 0).sum() == counts["test_good"]
    assert (scores["label"] == 1).sum() == counts["test_defective"]


def test_a_curve_runs_from_the_lowest_x_whatever_its_file_says(workspace: Path) -> None:
    run = load(workspace)[0]
    stored = pd.read_csv(run.results / "curves" / "pr.csv")
    curve = run.curve("pr", "recall", "precision")
    assert stored["recall"].iloc[0] == 1.0
    assert curve["recall"].is_monotonic_increasing
    assert curve["precision"].tolist() == stored["precision"].tolist()[::-1]


def test_the_plots_hold_the_numbers_of_the_runs(workspace: Path) -> None:
    stored = pd.read_csv(workspace / "results" / UNMASKED / "dmad-1" / "curves" / "roc.csv")
    plotted = pd.read_csv(workspace / "plots" / "roc" / UNMASKED / "dmad-1.csv")
    pd.testing.assert_frame_equal(plotted, stored[["fpr", "tpr"]])
    curves = pd.read_csv(workspace / "models" / MASKED / "glass-0" / "curves.csv")
    plotted = pd.read_csv(
        workspace / "plots" / "training" / MASKED / "glass-0" / "validation_auroc.csv"
    )
    expected = curves[["epoch", "validation_auroc"]].dropna()
    assert plotted.to_numpy().tolist() == expected.to_numpy().tolist()
    heatmaps = contents(workspace / "plots" / "heatmaps")
    assert len(heatmaps) == 2 * 2 * 8  # of the first seed alone
    assert "elpv/mono/glass-0-missed-01.png" in heatmaps
    assert set(contents(workspace / "plots" / "synthetic")) == {"elpv/mono.png", "lcdsim/grey.png"}


def test_the_same_runs_give_the_same_bytes_and_no_trace_of_the_machine(small: Path) -> None:
    outputs = ("metrics", "plots", "report")
    build_in(small, [MASKED], ["glass"], [0])
    first = {folder: contents(small / folder) for folder in outputs}
    build_in(small, [MASKED], ["glass"], [0])
    assert {folder: contents(small / folder) for folder in outputs} == first
    texts = [data for name, data in first["report"].items() if name.endswith((".html", ".svg"))]
    assert all(str(small).encode() not in text for text in texts)
    assert not any(re.search(rb"20\d\d-\d\d-\d\d", text) for text in texts)


def test_a_report_that_fails_leaves_the_former_one(small: Path) -> None:
    build_in(small, [MASKED], ["glass"], [0])
    before = contents(small)
    broken = small / "results" / MASKED / "glass-0" / "heatmaps" / "quiet-01.png"
    picture = broken.read_bytes()
    broken.unlink()  # it shares its bytes with the former report
    broken.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"quiet-01\.png.*evaluate@lcdsim/grey-glass-0"):
        build_in(small, [MASKED], ["glass"], [0])
    broken.write_bytes(picture)
    assert contents(small) == before


def test_dvc_makes_a_plot_of_every_file(workspace: Path, tmp_path: Path) -> None:
    """With the block of dvc.yaml, in a repository of its own."""
    (tmp_path / "plots").symlink_to(workspace / "plots")
    (tmp_path / "dvc.yaml").write_text(
        "plots:\n"
        "- plots/roc: {x: fpr, y: tpr, template: simple}\n"
        "- plots/pr: {x: recall, y: precision, template: simple}\n"
        "- plots/training: {x: epoch, y: value, template: simple}\n"
        "- plots/heatmaps\n"
        "- plots/synthetic\n"
    )
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}

    def dvc(*words: str) -> str:
        command = [sys.executable, "-m", "dvc", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    dvc("init", "--quiet", "--no-scm")
    shown = json.loads(dvc("plots", "show", "--json"))
    assert "errors" not in shown
    files = {f"plots/{name}" for name in contents(workspace / "plots")}
    assert set(shown["data"]) == files
    for name, plots in shown["data"].items():
        assert [plot["type"] for plot in plots] == ["image" if name.endswith("png") else "vega"]
