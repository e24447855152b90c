"""What scoring costs is noted once for each model, outside of what DVC keeps."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from blemish.core import scoring_times
from blemish.core.scoring_times import SCRIPT, SHOWN, digest_of, note_times, noted_times
from stages import evaluate
from tests.methods.tiny import trained
from tests.units import params_folder, tiny_unit

FIGURES = {
    "reading", "one core, batch 1", "one core, batch 16", "all cores, batch 1",
    "all cores, batch 16",
}  # fmt: skip


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One with a params.yaml alone, in which DVC runs a stage."""
    monkeypatch.setenv("DVC_STAGE", "evaluate@tiny/bolts-glass-0")
    with params_folder({}) as folder:
        yield folder


def evaluated(model: Path, out: Path) -> bytes:
    unit = tiny_unit()
    evaluate.main(str(model), str(unit.prepared), str(unit.synthetic), str(out))
    files = [path for path in out.rglob("*") if path.is_file()]
    assert not [path for path in files if b"batch 16" in path.read_bytes()]
    return (out / "metrics.json").read_bytes()


def test_evaluating_notes_times_once(workspace: Path) -> None:
    model = trained("patchcore")
    first = evaluated(model, workspace / "results")
    note = workspace / f"speed/{digest_of(model)}.json"
    found = json.loads(note.read_text())
    assert (found["method"], found["milliseconds"].keys()) == ("patchcore", FIGURES)
    assert all(0 < each["median"] <= each["p95"] for each in found["milliseconds"].values())
    assert found["peak_mib"] > 10
    assert noted_times(workspace, digest_of(model)) == found
    script = (workspace / SCRIPT).read_text()
    median = found["milliseconds"][SHOWN]["median"]
    assert script == f'window.millisecondsAnImage = {{"{digest_of(model)}": {median}}};\n'
    written = note.stat().st_mtime_ns
    assert evaluated(model, workspace / "again") == first
    assert note.stat().st_mtime_ns == written


def test_what_cannot_be_measured_stops_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained("patchcore")
    note_times(model, [workspace / "missing.png"])
    assert "how fast it scores could not be measured" in capsys.readouterr().err
    assert noted_times(workspace, digest_of(model)) is None
    monkeypatch.setattr(scoring_times, "PATIENCE", 0.01)
    note_times(model, list((tiny_unit().prepared / "test").rglob("*.png")))
    assert "timed out" in capsys.readouterr().err
    assert not (workspace / "speed").exists()


def test_nothing_is_measured_outside_of_dvc(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_STAGE")
    note_times(trained("patchcore"), list((tiny_unit().prepared / "test").rglob("*.png")))
    assert os.listdir(workspace) == ["params.yaml"]


def test_a_damaged_note_is_none(workspace: Path) -> None:
    model = trained("patchcore")
    (workspace / "speed").mkdir()
    for text in ("", "[]", "{}", '{"milliseconds": {"one core, batch 1": {"median": null}}}'):
        (workspace / f"speed/{digest_of(model)}.json").write_text(text)
        assert noted_times(workspace, digest_of(model)) is None
    assert digest_of(workspace) == ""
