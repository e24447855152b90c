"""The reference results: written, shown in README, compared with other results."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from blemish.core.errors import UserError
from blemish.core.params import load_params
from blemish.report.comparison import compare
from blemish.report.reference import (
    README,
    REFERENCE,
    Reference,
    read_reference,
    settings,
    with_table,
    write_reference,
)
from tests.browser.workspace import MASKED, METHODS, UNITS
from tests.report.runs import load_runs

ROOT = Path(__file__).resolve().parents[2]
MARKS = "# Title\n<!-- leaderboard -->\nold\n<!-- /leaderboard -->\nthe rest\n"
PARAMS = load_params(ROOT / "params.yaml").model_copy(
    update={"units": UNITS, "methods": METHODS, "seeds": [0, 1]}
)


@pytest.fixture
def project(workspace: Path, tmp_path: Path) -> Path:
    """A copy of the workspace of made-up results, with a README, whose reference is written."""
    root = tmp_path / "project"
    shutil.copytree(workspace, root)
    (root / README).write_text(MARKS, encoding="utf-8")
    write_reference(load_runs(root, UNITS, METHODS, [0, 1]), PARAMS, root)
    return root


def written(project: Path) -> Reference:
    reference = read_reference(project / REFERENCE)
    assert reference is not None
    return reference


def compared(project: Path, **changes: Any) -> list[str]:
    params = PARAMS.model_copy(update=changes)
    runs = load_runs(project, params.units, params.methods, params.seeds)
    return compare(written(project), params, runs)


def change(project: Path, **metrics: float | None) -> None:
    """Other numbers of glass on the unit with masks, seed 0."""
    path = project / "results" / MASKED / "glass-0" / "metrics.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["metrics"] |= metrics
    path.write_text(json.dumps(record), encoding="utf-8")


def test_readme_shows_the_committed_reference_of_the_shipped_settings() -> None:
    reference = read_reference(ROOT / REFERENCE)
    assert reference is not None
    text = (ROOT / README).read_text(encoding="utf-8")
    again = "run `blemish run && blemish reference --write`"
    assert with_table(text, reference) == text, again
    assert reference["settings"] == settings(load_params(ROOT / "params.yaml")), again


def test_the_table_is_written_between_the_marks_and_shows_the_numbers(project: Path) -> None:
    text = (project / README).read_text(encoding="utf-8")
    assert text.startswith("# Title\n<!-- leaderboard -->\n| unit | method |")
    assert text.endswith("<!-- /leaderboard -->\nthe rest\n")
    assert "\nold\n" not in text
    assert max(map(len, text.splitlines())) <= 160
    rows = written(project)["rows"]
    for row in rows:
        for name in ("image_auroc", "image_f1max"):
            assert f"{row['metrics'][name]['mean']:.3f} ±" in text
    assert "– (no masks)" in text
    assert "<sup>a</sup>" in text
    assert written(project)["machine"] in " ".join(text.split())
    assert with_table(text, written(project)) == text


def test_a_readme_without_marks_is_named_and_nothing_is_written(project: Path) -> None:
    (project / README).write_text("no marks", encoding="utf-8")
    before = (project / REFERENCE).read_bytes()
    with pytest.raises(UserError, match=r"README\.md: no <!-- leaderboard -->"):
        write_reference(load_runs(project, UNITS, ["glass"], [0]), PARAMS, project)
    assert (project / REFERENCE).read_bytes() == before


def test_equal_results_are_the_same_bytes(project: Path) -> None:
    (line,) = compared(project)
    assert line.startswith("all 8 models: the same bytes as on ")
    assert written(project)["machine"] in line


def test_a_number_within_its_interval_is_told_with_the_largest_difference(project: Path) -> None:
    glass = next(row for row in written(project)["rows"] if row["method"] == "glass")
    change(project, pixel_aupro=glass["metrics"]["pixel_aupro"]["mean"] + 0.002)
    first, line = compared(project)
    assert first.startswith("7 of 8 models: the same bytes")
    assert line.startswith(f"glass on {MASKED}: within the 95 % intervals; largest difference: ")
    assert "Pixel AUPRO 0.876 → 0.879" in line


def test_a_number_outside_its_interval_is_told_with_the_interval(project: Path) -> None:
    change(project, pixel_aupro=0.2)
    _, line = compared(project)
    assert line.startswith(f"glass on {MASKED}: DIFFERS, outside the reference's interval: ")
    assert "Pixel AUPRO 0.876 → 0.540 [.8" in line


def test_a_number_that_is_no_longer_defined_differs(project: Path) -> None:
    change(project, image_auroc=None)
    _, line = compared(project)
    assert "DIFFERS" in line
    assert "→ –" in line


def test_other_bytes_with_the_same_numbers_are_told_so(project: Path) -> None:
    change(project)  # json.dumps writes it on one line as before, but with other spaces
    path = project / "results" / MASKED / "glass-0" / "metrics.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert compared(project)[1] == f"glass on {MASKED}: the same numbers, other bytes"


def test_other_settings_are_named(project: Path) -> None:
    sections = PARAMS.method_sections | {"glass": PARAMS.method_sections["glass"] | {"epochs": 999}}
    lines = compared(project, method_sections=sections)
    assert lines[1:] == ["params.yaml has other settings than the reference: glass.epochs"]


def test_another_grid_and_a_missing_reference_are_one_line(project: Path) -> None:
    (line,) = compared(project, methods=["glass"])
    assert line.startswith("it is of another grid (units lcdsim/grey elpv/mono, methods glass dmad")
    assert read_reference(project / "none.json") is None
    (line,) = compare(None, PARAMS, [])
    assert line == "no metrics/reference.json: nothing to compare these numbers with"


def test_a_broken_reference_is_one_line(project: Path) -> None:
    (project / REFERENCE).write_text('{"made"', encoding="utf-8")
    with pytest.raises(UserError, match=r"reference\.json is broken"):
        read_reference(project / REFERENCE)
