"""Real defects for choosing in metrics.json: against validation normals, never in the test."""

from pathlib import Path
from typing import Any

import pytest

from blemish.core.params import DataParams
from blemish.images.manifest import read_manifest, write_manifest
from tests.evaluation.white import SHORT, metrics_of, results, scores_of
from tests.units import NAME, Unit, write_unit

pytestmark = pytest.mark.usefixtures("white")


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    """The tiny unit, of whose nine defects four are set apart."""
    root = tmp_path_factory.mktemp("apart") / "unit"
    return write_unit(root, params=DataParams(selection={NAME: 0.4}))


def with_feedback(unit: Unit, root: Path) -> Unit:
    """A copy in which one of them was confirmed in a review, without an outline."""
    copy = unit.copy(root)
    manifest = read_manifest(copy.prepared)
    rows: list[Any] = (
        manifest.rows.astype(object).where(manifest.rows.notna(), None).to_dict("records")
    )
    chosen = next(row for row in rows if row["slice"] == "selection")
    chosen |= {"slice": "feedback", "mask": None}
    write_manifest(rows, manifest.facts, copy.prepared / "manifest.parquet")
    return copy


def test_real_defects_have_numbers_of_their_own(unit: Unit, tmp_path: Path) -> None:
    folder = results(tmp_path, unit)
    found, scores = metrics_of(folder), scores_of(folder)
    count = len(read_manifest(unit.prepared).of("val", 1))
    assert count == 4
    assert found["counts"]["test_defective"] == 9 - count
    chosen = found["selection"]
    assert (chosen["count"], chosen["recall"], chosen["image_auroc"]) == (count, 1.0, 1.0)
    assert set(chosen["slices"]) == {"selection"}
    assert set(chosen["slices"]["selection"]) == {"count", "recall"} | SHORT
    assert all(entry["recall"] == 1.0 for entry in chosen["thresholds"])
    real = scores[scores["slice"] == "selection"]
    assert (len(real), set(real["split"]), set(real["headline"])) == (count, {"val"}, {False})
    assert "selection" not in found["slices"]
    # A detector that finds nothing is told apart by them, too.
    blind = metrics_of(results(tmp_path, unit, level=256))["selection"]
    assert (blind["recall"], blind["image_auroc"]) == (0.0, 0.5)


def test_confirmed_defects_need_no_outline(unit: Unit, tmp_path: Path) -> None:
    confirmed = with_feedback(unit, tmp_path / "copy")
    (tmp_path / "work").mkdir()
    chosen = metrics_of(results(tmp_path / "work", confirmed))["selection"]
    assert {name: part["count"] for name, part in chosen["slices"].items()} == {
        "feedback": 1, "selection": 3,
    }  # fmt: skip
    assert "pixel_auroc" in chosen["slices"]["selection"]
    assert "pixel_auroc" not in chosen["slices"]["feedback"]
    assert chosen["image_auroc"] == 1.0
