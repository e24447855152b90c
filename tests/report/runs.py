"""Runs of a small grid, and what a report makes of them."""

from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from blemish.core.files import write_json
from blemish.core.workspace import Run, grid
from blemish.report.build import build
from blemish.report.console import print_leaderboard
from tests.browser.workspace import METHODS, SEEDS, UNITS
from tests.units import scratch

NUMBERS = count()


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
        "framing": "squash to 224×224",
        "warning": None,
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


def printed(runs: list[Run], width: int, colour: bool = False) -> str:
    stream = StringIO()
    system = "standard" if colour else None
    console = Console(file=stream, width=width, force_terminal=colour, color_system=system)
    print_leaderboard(runs, console)
    return stream.getvalue()
