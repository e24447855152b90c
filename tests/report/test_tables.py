"""The leaderboard and the summary, as numbers and as printed."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from blemish.core.errors import UserError
from blemish.core.files import write_json
from blemish.core.scoring_times import SHOWN, SPEED, digest_of
from blemish.report import tables
from blemish.report.conditions import conditions
from blemish.report.console import print_leaderboard
from blemish.report.tables import MARK
from tests.browser.workspace import UNITS
from tests.report.runs import a_run, load, printed


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
    assert conditions(runs).count("patchcore is a training-free reference.") == 1
    assert not any("training-free" in sentence for sentence in conditions(runs[:2]))


def test_a_unit_that_is_not_as_published_is_named_below_the_leaderboard() -> None:
    note = "Published: 280 train images; found: 9."
    runs = [a_run("mvtec/wood", "glass", seed, notes=["Other.", note]) for seed in (0, 1)]
    runs.append(a_run("mvtec/tile", "glass", 0, notes=["Other."]))
    sentences = conditions(runs)
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


def test_rows_are_sorted_within_their_unit_the_best_first_and_the_undefined_last() -> None:
    values = {"glass": (0.7, 0.1), "dmad": (None, 0.3), "esad": (0.8, 0.2)}
    runs = [
        a_run(unit, method, 0, metrics={"image_auroc": auroc, "image_fpr95": fpr})
        for unit in ("b/b", "a/a")
        for method, (auroc, fpr) in values.items()
    ]
    rows = tables.leaderboard(runs)

    def order(name: str) -> list[str]:
        return [f"{row['unit'][0]} {row['method']}" for row in tables.sorted_rows(rows, name)]

    best = ["b esad", "b glass", "b dmad", "a esad", "a glass", "a dmad"]
    assert order("image_auroc") == best
    assert order("image_fpr95")[:3] == ["b glass", "b esad", "b dmad"]
    for row, alarms in zip(rows, (0.3, 0.1, 0.2) * 2, strict=True):
        row["threshold"]["false_alarms"]["mean"] = alarms
        row["threshold"]["recall"]["mean"] = alarms
    assert order("false_alarms")[:3] == ["b dmad", "b esad", "b glass"]
    assert order("recall")[:3] == ["b glass", "b esad", "b dmad"]
    with pytest.raises(UserError, match=r"--sort recal: no such number .*'recall'"):
        order("recal")


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


def test_times_are_shown_where_there_are_any(workspace: Path, tmp_path: Path) -> None:
    runs = [a_run("a/b", "glass", seed) for seed in (0, 1)] + [a_run("a/b", "dmad", 0)]
    models = [tmp_path / f"model-{number}" for number in range(3)]
    runs = [replace(run, model=model) for run, model in zip(runs, models, strict=True)]
    for model, taken in zip(models, (30.0, 41.0, None), strict=True):
        write_json(model / "model.json", {"taken": taken})
        note = {"milliseconds": {SHOWN: {"median": taken}}}
        write_json(tmp_path / SPEED / f"{digest_of(model)}.json", note)
    times = tables.scoring_times(runs, tmp_path)
    assert times == {("a/b", "glass"): 35.5}
    assert tables.scoring_times(load(workspace), workspace) == {}
    stream = StringIO()
    print_leaderboard(runs, Console(file=stream, width=80), times)
    text = stream.getvalue()
    assert "ms an" in text
    assert re.search(r"glass .* 36$", text, re.MULTILINE)
    assert re.search(r"dmad .* –$", text, re.MULTILINE)
    assert "on one core of this machine" in " ".join(text.split())
    assert "ms an" not in printed(runs, 80)


def test_with_times_too_no_word_is_cut_in_a_terminal_of_80_columns() -> None:
    numbers = {"image_auroc": 0.9, "image_f1max": 0.8, "pixel_aupro": 0.7}
    runs = [a_run("lcdsim/grey", name, 0, metrics=numbers) for name in ("patchcore", "dlas_lcd")]
    runs += [a_run("elpv/mono", "dlas_lcd", 0, warning="It finds nothing.")]
    for run in runs:
        draws = pd.DataFrame({name: [value, value] for name, value in numbers.items()})
        draws.to_parquet(run.results / "bootstrap.parquet")
    stream = StringIO()
    times = {(run.unit, run.method): 1234.0 for run in runs}
    print_leaderboard(runs, Console(file=stream, width=80), times)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    words = {word for line in lines for word in line.split(" ")}
    assert {"patchcore", "dlas_lcd", MARK, "1234", "[.900\N{NO-BREAK SPACE}.900]"} <= words
    assert {"lcdsim/", "grey", "elpv/", "mono"} <= words
    assert any(f" dlas_lcd {MARK}" in line for line in lines)
