"""`blemish speed`: the table and the JSON of one detector. No time itself is asserted."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blemish.commands.app import app
from blemish.core.memory import peak_mib
from blemish.predict.speed import milliseconds

pytestmark = pytest.mark.usefixtures("bright")


def test_json_and_table(model: Path, images: Path) -> None:
    words = ["speed", str(model), str(images), "--repeats", "3"]
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    times = found["milliseconds"]
    assert list(times) == [
        "reading", "one core, batch 1", "one core, batch 16", "all cores, batch 1",
        "all cores, batch 16",
    ]  # fmt: skip
    assert all(0 < each["median"] <= each["p95"] for each in times.values())
    assert 10 < found["peak_mib"] <= peak_mib()
    lines = CliRunner().invoke(app, words).stdout.splitlines()
    assert lines[0].startswith("bright of tiny/bolts, images of 128×96")
    assert lines[-1].endswith("MiB")


def test_what_is_timed() -> None:
    calls: list[int] = []
    milliseconds(calls.append, [1, 2], calls=3, of_call=4)
    assert calls == [1, 2, 1, 2, 1]  # two of them to warm up
