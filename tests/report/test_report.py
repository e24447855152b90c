"""The report: which runs it reads, what it says about them, and what it writes."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from rich.console import Console

from blemish.core.errors import UserError
from blemish.core.files import write_json
from blemish.core.workspace import Run, grid
from blemish.metrics import table
from blemish.report import figures, tables, views
from blemish.report.build import build
from blemish.report.console import print_leaderboard
from tests.browser.workspace import MASKED, METHODS, SEEDS, UNITS, UNMASKED, make_workspace
from tests.units import scratch

NUMBERS = count()
HOSTILE_UNIT = "mein satz/größe & co"
HOSTILE_DEFECT = "<script>window.hacked = 1</script>"


def build_in(root: Path, units: list[str], methods: list[str], seeds: list[int]) -> None:
    folders = ("models", "results", "data/synthetic", "metrics", "plots", "report")
    build(*(root / folder for folder in folders), units, methods, seeds)


def load(root: Path) -> list[Run]:
    return load_runs(root, UNITS, METHODS, SEEDS)


def load_runs(root: Path, units: list[str], methods: list[str], seeds: list[int]) -> list[Run]:
    return [run.check() for run in grid(root / "models", root / "results", units, methods, seeds)]


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def a_run(unit: str, method: str, seed: int, **changes: Any) -> Run:
    threshold = {
        "image": 0.5,
        "false_alarm_rate": 0.05,
        "validation_normals": 70,
        "expected_rate": 0.056,
        "rate_low": 0.016,
        "rate_high": 0.12,
        "precision": 0.9,
        "recall": 0.8,
        "accuracy": 0.85,
        "test_false_alarm_rate": 0.1,
    }
    record = {
        "unit": unit,
        "method": method,
        "seed": seed,
        "protocol": "honest",
        "resolution": "original",
        "input_size": [224, 224],
        "masks": "none",
        "counts": {"train": 100, "val": 70, "test_good": 40, "test_defective": 30},
        "metrics": {"image_auroc": 0.9, "image_f1max": 0.8},
        "threshold": threshold,
        "by_defect": {},
        "slices": {},
        "notes": [],
    }
    results = scratch() / f"report-{next(NUMBERS)}"
    write_json(results / "metrics.json", record | changes)
    pd.DataFrame().to_parquet(results / "bootstrap.parquet")
    return Run(unit, method, seed, Path("models"), results)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two units, two methods and two seeds, with its report built."""
    root = tmp_path_factory.mktemp("workspace")
    make_workspace(root, {MASKED: ["spot", "line"], UNMASKED: ["crack"]}, METHODS, SEEDS)
    build_in(root, UNITS, METHODS, SEEDS)
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A workspace of one run, not built yet."""
    make_workspace(tmp_path, {MASKED: ["spot"]}, ["glass"], [0])
    return tmp_path


# --- which runs ------------------------------------------------------------------------------


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


# --- what the tables say ---------------------------------------------------------------------


def test_the_leaderboard_has_mean_and_sample_deviation_over_seeds() -> None:
    runs = [a_run("a/b", "glass", s, metrics={"image_auroc": v}) for s, v in enumerate((0.7, 0.9))]
    (row,) = tables.leaderboard(runs)
    assert row["seeds"] == [0, 1]
    assert row["metrics"]["image_auroc"] == pytest.approx({"mean": 0.8, "std": 0.1414213562})
    assert row["threshold"]["recall"] == pytest.approx({"mean": 0.8, "std": 0.0})
    assert row["protocol"] == "honest"
    (single,) = tables.leaderboard(runs[:1])
    assert single["metrics"]["image_auroc"] == {"mean": 0.7, "std": None}


def test_a_training_free_method_is_marked_as_a_reference() -> None:
    runs = [a_run("a/b", method, seed) for method in ("glass", "patchcore") for seed in (0, 1)]
    marked = {row["method"]: row["training_free"] for row in tables.leaderboard(runs)}
    assert marked == {"glass": False, "patchcore": True}
    assert tables.conditions(runs).count("patchcore is a training-free reference.") == 1
    assert not any("training-free" in sentence for sentence in tables.conditions(runs[:2]))


def test_a_unit_that_is_not_as_published_is_named_below_the_leaderboard() -> None:
    note = "Published: 280 train images; found: 9."
    runs = [a_run("mvtec/wood", "glass", seed, notes=["Other.", note]) for seed in (0, 1)]
    runs.append(a_run("mvtec/tile", "glass", 0, notes=["Other."]))
    sentences = tables.conditions(runs)
    assert sentences.count(f"Not as published: mvtec/wood ({note})") == 1
    assert not any("mvtec/tile" in sentence for sentence in sentences)


def test_a_value_that_one_seed_lacks_is_not_averaged_over_the_others() -> None:
    runs = [a_run("a/b", "glass", s, metrics={"image_auroc": v}) for s, v in enumerate((0.7, None))]
    (row,) = tables.leaderboard(runs)
    assert row["metrics"]["image_auroc"] == {"mean": None, "std": None}


def test_the_best_method_is_the_lowest_where_lower_is_better_and_ties_share() -> None:
    values = {"glass": (0.9, 0.2), "dmad": (0.9, 0.1), "esad": (0.8, 0.3)}
    runs = [
        a_run("a/b", method, 0, metrics={"image_auroc": auroc, "image_fpr95": fpr})
        for method, (auroc, fpr) in values.items()
    ]
    rows = tables.leaderboard(runs)
    assert tables.best_methods(rows, "image_auroc") == {("a/b", "glass"), ("a/b", "dmad")}
    assert tables.best_methods(rows, "image_fpr95") == {("a/b", "dmad")}
    assert tables.best_methods(rows[:2], "image_auroc") == set()
    assert tables.best_methods(rows[:1], "image_fpr95") == set()


def test_the_summary_averages_units_equally_and_leaves_out_what_no_unit_has() -> None:
    masked = {"image_auroc": 0.6, "image_f1max": 0.5, "pixel_aupro": 0.7}
    runs = [
        a_run("a/masked", "glass", 0, metrics=masked),
        a_run("a/plain", "glass", 0, metrics={"image_auroc": 0.8, "image_f1max": None}),
        a_run("a/plain", "dmad", 0, metrics={"image_auroc": 0.4, "image_f1max": 0.3}),
    ]
    assert tables.summary(runs) == {
        "glass": pytest.approx({"image_auroc": 0.7, "image_f1max": 0.5, "pixel_aupro": 0.7}),
        "dmad": pytest.approx({"image_auroc": 0.4, "image_f1max": 0.3}),
    }


def test_another_aupro_limit_is_shown_under_its_own_name() -> None:
    metrics = {"image_auroc": 0.6, "image_f1max": 0.5, "pixel_aupro_0.05": 0.7}
    runs = [a_run("a/b", "glass", 0, masks="pixel", metrics=metrics)]
    assert tables.summary(runs)["glass"]["pixel_aupro_0.05"] == 0.7
    assert "AUPRO@0.05" in printed(runs, 80)


def test_numbers_that_looked_at_the_test_set_stay_out_of_the_columns() -> None:
    metrics = {"image_auroc": 0.6, "image_auroc_oracle": 0.99, "image_f1max": 0.5}
    runs = [a_run("a/b", "glass", 0, metrics=metrics)]
    rows = tables.leaderboard(runs)
    assert tables.metric_names(rows) == ["image_auroc", "image_f1max"]
    assert tables.summary(runs) == {"glass": {"image_auroc": 0.6, "image_f1max": 0.5}}
    assert "0.990" not in printed(runs, 120)


def printed(runs: list[Run], width: int, colour: bool = False) -> str:
    stream = StringIO()
    system = "standard" if colour else None
    console = Console(file=stream, width=width, force_terminal=colour, color_system=system)
    print_leaderboard(runs, console)
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_printed_leaderboard_fits_and_says_what_the_numbers_are(
    workspace: Path, width: int
) -> None:
    text = printed(load(workspace), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in ("0.876±0.007", "– (no masks)", "honest", "original", "seeds 0, 1", "5\N{NBSP}%"):
        assert word in text
    assert ("AP " in text) == (width == 120)  # the columns that only a wide terminal has room for


def test_the_best_of_a_unit_is_bold_in_the_terminal(workspace: Path) -> None:
    runs = load(workspace)
    bold = re.findall(r"\x1b\[1m *(\d\.\d+)±", printed(runs, 80, colour=True))
    best = dict.fromkeys(UNITS, 0.0)
    for row in tables.leaderboard(runs):
        best[row["unit"]] = max(best[row["unit"]], row["metrics"]["image_auroc"]["mean"])
    assert bold == [f"{value:.3f}" for value in best.values()]


# --- what the page says ----------------------------------------------------------------------


def test_the_operating_point_in_words() -> None:
    run = a_run("a/b", "glass", 0)
    assert views.operating_point(run, several=False).replace("\N{NBSP}", " ") == (
        "At threshold 0.5, set on 70 validation normals for 5 % false alarms (on new normals "
        "5.6 % are to be expected, 95 %: 1.6 % to 12.0 %): recall 80.0 % of 30 defective images, "
        "false alarms on 10.0 % of 40 good ones; precision 90.0 %, "
        "accuracy 85.0 %."
    )
    run.record["threshold"]["precision"] = None
    assert "precision –" in views.operating_point(run, several=True)


def test_weak_defects_are_ordered_by_beta_and_averaged_over_seeds() -> None:
    slices = [
        {"weak-0.7": {"image_auroc": 0.6}, "weak-0.1": {"image_auroc": 0.9 + x}, "doubtful": {}}
        for x in (0.0, 0.02)
    ]
    runs = [a_run("a/b", "glass", seed, slices=part) for seed, part in enumerate(slices)]
    assert views.weak_points(runs) == [pytest.approx((0.1, 0.91)), pytest.approx((0.7, 0.6))]


def test_the_verdict_under_a_picture_follows_the_threshold() -> None:
    def verdict(label: int, score: float) -> tuple[str, str]:
        entry = {"label": label, "score": score, "defect": "x", "image": "x.png"}
        shown = views.caption(entry, threshold=0.5)
        return shown["verdict"], shown["right"]

    assert verdict(1, 0.5) == ("missed", "wrong")
    assert verdict(1, 0.51) == ("found", "right")
    assert verdict(0, 0.51) == ("false alarm", "wrong")
    assert verdict(0, 0.5) == ("passed", "right")


class References(HTMLParser):
    """Collects what a page refers to and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


def test_the_page_refers_to_its_own_files_only_and_to_all_of_them(workspace: Path) -> None:
    report = workspace / "report"
    page = References((report / "index.html").read_text(encoding="utf-8"))
    files = {unquote(link) for link in page.links if not link.startswith(("#", "data:"))}
    assert files == {name for name in contents(report) if name != "index.html"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert page.tags.count("img") == 2 * (2 + 2 * (6 + 8 * 3)) + 2  # PRO for the unit with masks


def test_names_from_users_are_text_not_markup(tmp_path: Path) -> None:
    make_workspace(tmp_path, {HOSTILE_UNIT: [HOSTILE_DEFECT]}, ["glass"], [0])
    build_in(tmp_path, [HOSTILE_UNIT], ["glass"], [0])
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    page = References(text)
    assert HOSTILE_DEFECT not in text
    assert "&lt;script&gt;window.hacked" in text
    assert page.tags.count("script") == 1
    assert "mein satz/größe &amp; co" in text
    pictures = [unquote(link) for link in page.links if link.endswith((".png", ".svg"))]
    assert pictures
    assert all((tmp_path / "report" / picture).is_file() for picture in pictures)


def test_undefined_numbers_leave_dashes_and_their_note(small: Path) -> None:
    path = small / "results" / MASKED / "glass-0" / "metrics.json"
    record = json.loads(path.read_text())
    note = "The test set has no defective images: image metrics are undefined."
    nothing = {"metrics": dict.fromkeys(record["metrics"]), "by_defect": {}, "slices": {}}
    rates = {**record["threshold"], "recall": None, "precision": None}
    path.write_text(json.dumps({**record, **nothing, "threshold": rates, "notes": [note]}))
    build_in(small, [MASKED], ["glass"], [0])
    text = (small / "report" / "index.html").read_text(encoding="utf-8")
    assert note in text
    assert "recall – of" in text
    assert json.loads((small / "metrics" / "summary.json").read_text()) == {"glass": {}}


# --- what is written -------------------------------------------------------------------------


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


def test_figures_are_xml_that_follows_the_colour_scheme() -> None:
    svg = figures.score_histogram([0.1, 0.2], [0.7], threshold=0.5)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "prefers-color-scheme:dark" in svg
    assert not re.findall(r"#00000[0-9a-f]", svg)  # every stand-in colour became a variable
    assert "DejaVu" not in svg
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert {"good (2)", "defective (1)", "threshold"} <= set(texts)


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


def test_area_quarters_aupimo_and_spro_are_shown() -> None:
    quarter = {"count": 3, "recall": 0.5, "pixel_aupimo": 0.25, "area_from": 0.001, "area_to": 0.02}
    numbers = {"pixel_spro": 0.7, "pixel_spro_0.01": 0.4, "pixel_aupimo": 0.3, "pixel_aupro": 0.9}
    runs = [
        a_run(MASKED, "glass", seed, by_area={"q1": quarter}, metrics=numbers, masks="pixel")
        for seed in (0, 1)
    ]
    quarters = views.areas(runs)
    assert quarters["head"] == ["Defect area", "Images", "Recall at threshold", "Pixel AUPIMO"]
    assert quarters["rows"] == [
        ["smallest quarter, 0.1–2\N{NO-BREAK SPACE}%", "3", "50.0\N{NO-BREAK SPACE}%", "0.250"]
    ]
    rows = tables.leaderboard(runs)
    assert tables.metric_names(rows) == ["pixel_aupro", "pixel_aupimo", "pixel_spro"]
    assert table.heading("pixel_spro_0.01") == "sPRO@0.01"
    assert table.heading("pixel_aupro_0.05") == "AUPRO@0.05"
    assert ("pixel metrics", "at original resolution") in views.about_unit(runs[0])
