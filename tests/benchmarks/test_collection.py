"""The development collection: its table, the choice by leaving one unit out, a trial."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks.collection import choose, main, numbers_of, table
from blemish.core.errors import UserError
from blemish.core.workspace import RECORD_KEYS
from tests.methods.tiny import TINY
from tests.units import PARAMS, tiny_unit

TRIAL = Path(__file__).resolve().parents[2] / "benchmarks" / "trial.py"


def write(results: Path, unit: str, method: str, *values: float | None) -> None:
    """A run a seed; of its record only what the collection reads."""
    for seed, value in enumerate(values):
        folder = results / unit / f"{method}-{seed}"
        folder.mkdir(parents=True)
        record: dict[str, Any] = dict.fromkeys(RECORD_KEYS)
        record |= {"unit": unit, "method": method, "seed": seed}
        record["metrics"] = {"image_auroc": value, "pixel_ap": None}
        (folder / "metrics.json").write_text(json.dumps(record))


def test_a_table_of_all_methods_with_the_distance_to_patchcore(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "elpv/mono", "glass", 0.9, 0.8)
    write(tmp_path, "screw/all", "glass", 0.7)
    write(tmp_path, "lcdsim/grey", "glass", 1.0)
    write(tmp_path, "elpv/mono", "patchcore", 0.8)
    write(tmp_path, "screw/all", "patchcore", 0.9)
    table(tmp_path)
    first = capsys.readouterr().out
    assert "pixel AP" not in first  # which no run has
    rows = {line[:20].strip(): line[20:].split() for line in first.splitlines()}
    assert rows["elpv/mono"] == ["0.850", "0.800"]
    assert rows["mean, real"] == ["0.775", "0.850"]  # no rendered unit in it
    assert rows["worst, real"] == ["0.700", "0.800"]
    assert rows["against patchcore"] == ["-0.075", "+0.000"]
    assert rows["units above it"] == ["1", "of", "2", "0", "of", "2"]


def test_a_unit_chooses_nothing_for_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Setting b wins big on one unit alone: there it is not what the others choose."""
    for unit, a, b in (("elpv/mono", 0.9, 0.8), ("screw/all", 0.9, 0.8), ("fabric/all", 0.5, 0.9)):
        write(tmp_path / "a", unit, "glass", a)
        write(tmp_path / "b", unit, "glass", b)
    choose({"a": tmp_path / "a", "b": tmp_path / "b"}, "image_auroc")
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["fabric/all"] == ["0.500", "0.900", "a"]
    assert rows["elpv/mono"] == ["0.900", "0.800", "b"]
    assert rows["mean"] == ["0.767", "0.833", "0.700"]


def test_without_results_one_line_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert numbers_of(tmp_path, "image_auroc") == {}
    with pytest.raises(UserError, match=r"no results: run `python benchmarks/collection.py run"):
        table(tmp_path)
    monkeypatch.setattr(sys, "argv", ["collection.py", "table", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^error: "):
        main()


def test_a_trial_leaves_the_workspace_alone(tmp_path: Path) -> None:
    unit = tiny_unit()
    data = tmp_path / "data"
    for part, folder in (
        ("prepared/elpv/mono", unit.prepared),
        ("synthetic/elpv/mono", unit.synthetic),
        ("textures", unit.textures),
    ):
        shutil.copytree(folder, data / part)
    (data / "code" / "train").mkdir(parents=True)
    (data / "code" / "train" / "glass.json").write_text("{}")
    with (tmp_path / "params.yaml").open("w") as stream:
        YAML().dump(PARAMS | {"glass": TINY["glass"].params}, stream)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    command = [
        sys.executable, str(TRIAL), "elpv/mono", "glass", "0",
        "-S", "glass.top_cells=3", "--out", "trials/top",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert "elpv/mono glass 0 glass.top_cells=3: image_auroc 0." in done.stdout
    record = json.loads(
        (tmp_path / "trials/top/results/elpv/mono/glass-0/metrics.json").read_text()
    )
    model = json.loads((tmp_path / "trials/top/models/elpv/mono/glass-0/model.json").read_text())
    assert record["metrics"]["image_auroc"] is not None
    assert model["params"]["top_cells"] == 3
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    wrong = subprocess.run(
        [*command[:-3], "glass.tops=3", "--out", "x"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert wrong.returncode == 1
    assert "`glass.tops`" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
