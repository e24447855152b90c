"""The runs of the listed grid, read from the folders that `train` and `evaluate` wrote."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from PIL import Image
from pyarrow import ArrowException

from blemish.core.errors import UserError

Content = TypeVar("Content")

RECORD_KEYS = [
    *("unit", "method", "seed", "protocol", "resolution", "input_size", "masks"),
    *("counts", "metrics", "threshold", "by_defect", "slices", "notes"),
]
EVALUATED = (
    "metrics.json",
    "bootstrap.parquet",
    "scores.parquet",
    "curves/roc.csv",
    "curves/pr.csv",
    "heatmaps.json",
)


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model: (unit, method, seed).

    `record` is the whole of metrics.json; `model` and `results` are the run's two folders;
    `draws` has a row a bootstrap draw of the test images and a column a headline metric. The
    methods read the run's other files and raise UserError naming the stage that remakes a
    missing or broken one.
    """

    unit: str
    method: str
    seed: int
    record: dict[str, Any]
    model: Path
    results: Path
    draws: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)

    @property
    def name(self) -> str:
        """As in DVC's stage names: elpv/mono-glass-0."""
        return f"{self.unit}-{self.method}-{self.seed}"

    @property
    def metrics(self) -> dict[str, float | None]:
        """The headline numbers by name, each in [0, 1] or None where undefined."""
        values: dict[str, float | None] = self.record["metrics"]
        return values

    def scores(self) -> pd.DataFrame:
        """One row an image of the main test set, which the headline numbers are made of."""
        path = self.results / "scores.parquet"
        wanted = ("headline", "label", "score")
        scores = self._read(path, lambda: _columns(pd.read_parquet(path), *wanted))
        return scores[scores["headline"]]

    def curve(self, name: str, x: str, y: str) -> pd.DataFrame:
        """Columns `x` and `y` of curves/<name>.csv, from the lowest x to the highest."""
        path = self.results / "curves" / f"{name}.csv"
        curve = self._read(path, lambda: _columns(pd.read_csv(path), x, y)[[x, y]])
        # Never sorted: where x repeats, the order of the rows is the course of the curve.
        falling = len(curve) > 1 and curve[x].iloc[0] > curve[x].iloc[-1]
        return curve[::-1] if falling else curve

    def training_curves(self) -> pd.DataFrame:
        """Column `epoch`, then one column a curve; empty cells are NaN."""
        path = self.model / "curves.csv"
        return self._read(path, lambda: _columns(pd.read_csv(path), "epoch"), "train")

    def heatmaps(self) -> list[dict[str, Any]]:
        """The entries of heatmaps.json, every `file` (relative to `results`) a picture."""
        path = self.results / "heatmaps.json"
        entries = self._read(path, lambda: _entries(path))
        for file in [one["file"] for entry in entries for one in (entry, *entry["views"])]:
            picture = self.results / file
            self._read(picture, partial(Image.open, picture)).close()
        return entries

    def animation(self) -> Path | None:
        """The GIF of the test set; None where `evaluation.animation` asked for none."""
        path = self.results / "animation.gif"
        if not path.is_file():
            return None
        self._read(path, lambda: Image.open(path)).close()
        return path

    def _require(self, path: Path, stage: str) -> None:
        if not path.is_file():
            raise _missing(path, stage, self.name)

    def _read(self, path: Path, read: Callable[[], Content], stage: str = "evaluate") -> Content:
        self._require(path, stage)
        try:
            return read()
        except (ValueError, TypeError, KeyError, OSError, ArrowException) as error:
            raise _broken(path, str(error), stage, self.name) from None


def load_runs(
    models: Path, results: Path, units: list[str], methods: list[str], seeds: list[int]
) -> list[Run]:
    """Every run of the grid, ordered by unit, method, seed as listed.

    Folders of runs that are not listed are ignored. Raises UserError where a listed run is
    missing or broken, naming the stage to run.
    """
    return [
        _load_run(models, results, unit, method, seed)
        for unit in units
        for method in methods
        for seed in seeds
    ]


def preview(synthetic: Path, unit: str) -> Path:
    """The unit's contact sheet of synthetic anomalies; UserError if there is none."""
    path = synthetic / unit / "preview.png"
    if not path.is_file():
        raise _missing(path, "synthesize", unit)
    try:
        Image.open(path).close()
    except OSError as error:
        raise _broken(path, str(error), "synthesize", unit) from None
    return path


def _load_run(models: Path, results: Path, unit: str, method: str, seed: int) -> Run:
    folder = f"{unit}/{method}-{seed}"
    run = Run(unit, method, seed, {}, models / folder, results / folder)
    run._require(run.model / "curves.csv", "train")
    for file in EVALUATED:
        run._require(run.results / file, "evaluate")
    path = run.results / "metrics.json"
    record = run._read(path, lambda: json.loads(path.read_text(encoding="utf-8")))
    absent = [key for key in RECORD_KEYS if not isinstance(record, dict) or key not in record]
    if absent:
        raise _broken(path, f"no `{absent[0]}` in it", "evaluate", run.name)
    if (record["unit"], record["method"], record["seed"]) != (unit, method, seed):
        raise _broken(path, "it describes another run", "evaluate", run.name)
    path = run.results / "bootstrap.parquet"
    draws = run._read(path, lambda: pd.read_parquet(path))
    return Run(unit, method, seed, record, run.model, run.results, draws)


def _columns(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    absent = [name for name in names if name not in table]
    if absent:
        raise ValueError(f"no column `{absent[0]}`")
    return table


def _entries(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        _with_keys(entry, "file", "kind", "image", "score", "views")
        for view in entry["views"]:
            _with_keys(view, "file", "caption")
    return entries


def _with_keys(entry: dict[str, Any], *keys: str) -> None:
    absent = [key for key in keys if key not in entry]
    if absent:
        raise ValueError(f"an entry without `{absent[0]}`")


def _missing(path: Path, stage: str, name: str) -> UserError:
    return UserError(f"{path} is missing: run {_repro(stage, name)}")


def _broken(path: Path, why: str, stage: str, name: str) -> UserError:
    return UserError(f"{path} is broken ({why}): delete it and run {_repro(stage, name)}")


def _repro(stage: str, name: str) -> str:
    return f"`dvc repro {shlex.quote(f'{stage}@{name}')}`"
