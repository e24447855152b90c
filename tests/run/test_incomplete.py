"""A unit that is not what its publisher describes is told where a run begins, once."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from blemish.images.manifest import Facts, write_manifest
from blemish.run.incomplete import tell_incomplete
from tests.run.workspace import make

PART = "Published: 280 train images; found: 9."
PREPARE = """
  prepare:
    matrix: {unit: [a/x]}
    cmd: mkdir -p data/prepared/a && cp -r part data/prepared/${item.unit}
    deps: [part]
    outs: ["data/prepared/${item.unit}"]
"""


def manifest(folder: Path, *notes: str) -> None:
    folder.mkdir(parents=True)
    write_manifest([], Facts(folder.name, "none", notes=notes), folder / "manifest.parquet")


def test_only_units_of_the_run_that_lack_something_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = Path("data/prepared")
    manifest(prepared / "mvtec" / "wood", PART, "A note.")
    manifest(prepared / "mvtec" / "tile", "A note.")
    manifest(prepared / "mpdd" / "tubes", PART)  # of another run
    (prepared / "visa" / "candle").mkdir(parents=True)
    (prepared / "visa" / "candle" / "manifest.parquet").write_bytes(b"half")
    lost = "7 mask(s) belong to no image, e.g. x: the archive is incomplete."
    manifest(prepared / "loco" / "[b]", lost)
    units = ("mvtec/wood", "mvtec/tile", "visa/candle", "loco/[b]", "elpv/mono")
    told: set[str] = set()
    stages = ["code", *(f"prepare@{unit}" for unit in units)]
    out = io.StringIO()
    for _ in range(2):
        tell_incomplete(stages, Console(file=out, width=60), told)
    assert out.getvalue().splitlines() == [
        f"not as published: mvtec/wood: {PART}",
        f"not as published: loco/[b]: {lost}",
    ]


def test_a_run_says_it_first_and_as_soon_as_it_is_known(tmp_path: Path) -> None:
    space = make(tmp_path / "space", seeds=1)
    pipeline = space.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text() + PREPARE)
    manifest(space.root / "part", PART)
    line = f"not as published: a/x: {PART}"
    code, text = space.run("prepare@a/x", jobs=1)
    assert code == 0, text
    assert text.splitlines().count(line) == 1
    code, text = space.run(jobs=1)
    assert code == 0, text
    assert text.splitlines()[0] == line
    assert text.splitlines().count(line) == 1
