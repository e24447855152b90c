"""The runs of a workspace: where `train` and `evaluate` put their files, and readers of them.

A run is one trained and evaluated model; it has a folder `<unit>/<method>-<seed>` below `models`
and below `results`. Importing this module is cheap: what reads tables and pictures is imported
when a file is read.
"""

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blemish.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MODELS, RESULTS = Path("models"), Path("results")

Content = TypeVar("Content")
Json = dict[str, Any]

RECORD_KEYS = (
    *(
        "unit",
        "method",
        "seed",
        "protocol",
        "resolution",
        "input_size",
        "framing",
        "warning",
        "masks",
    ),
    *("counts", "metrics", "threshold", "by_defect", "slices", "notes"),
)
EVALUATED = (
    *("metrics.json", "bootstrap.parquet", "scores.parquet", "heatmaps.json"),
    *("curves/roc.csv", "curves/pr.csv"),
)


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model: `model` and `results` are its two folders.

    Files are read when they are asked for. All readers raise UserError naming the stage that
    remakes a missing or broken file.
    """

    unit: str
    method: str
    seed: int
    model: Path
    results: Path

    @property
    def name(self) -> str:
        """As in DVC's stage names: elpv/mono-glass-0."""
        return f"{self.unit}-{self.method}-{self.seed}"

    def check(self) -> "Run":
        """The run itself, if all of its files are there and metrics.json describes it."""
        _require(self.model / "curves.csv", "train", self.name)
        for file in EVALUATED:
            _require(self.results / file, "evaluate", self.name)
        _ = self.record, self.draws
        return self

    @cached_property
    def description(self) -> Json:
        """The whole of model.json."""
        return self._read(self.model / "model.json", _json_object, "train")

    @cached_property
    def record(self) -> Json:
        """The whole of metrics.json, with all of `RECORD_KEYS`."""
        return self._read(self.results / "metrics.json", self._own_record)

    @property
    def metrics(self) -> dict[str, float | None]:
        """The headline numbers by name, each in [0, 1] or None where undefined."""
        values: dict[str, float | None] = self.record["metrics"]
        return values

    @cached_property
    def draws(self) -> "pd.DataFrame":
        """A row a bootstrap draw of the test images, a column a headline metric."""
        return self._read(self.results / "bootstrap.parquet", _parquet)

    def scores(self) -> "pd.DataFrame":
        """One row an image; `headline` marks the main test set."""
        return self._read(self.results / "scores.parquet", _scores)

    def curve(self, name: str, x: str, y: str) -> "pd.DataFrame":
        """Columns `x` and `y` of curves/<name>.csv, from the lowest x to the highest."""
        import pandas as pd

        def read(path: Path) -> pd.DataFrame:
            return _with_columns(pd.read_csv(path), x, y)[[x, y]]

        curve = self._read(self.results / "curves" / f"{name}.csv", read)
        # Never sorted: where x repeats, the order of the rows is the course of the curve.
        falling = len(curve) > 1 and curve[x].iloc[0] > curve[x].iloc[-1]
        return curve[::-1] if falling else curve

    def robustness(self) -> "pd.DataFrame":
        """Columns `disturbance`, `step` (0 is none) and `accuracy`; empty if not measured."""
        import pandas as pd

        found = self.record.get("robustness", {"curve": []})
        rows = []
        for name in dict.fromkeys(point["disturbance"] for point in found["curve"]):
            rows.append((name, 0, found["undisturbed"]["accuracy"]))
            rows += [(name, point["step"], point["accuracy"])
                     for point in found["curve"] if point["disturbance"] == name]  # fmt: skip
        return pd.DataFrame(rows, columns=["disturbance", "step", "accuracy"])

    def training_curves(self) -> "pd.DataFrame":
        """Column `epoch`, then one column a curve, all numbers; empty cells are NaN."""
        return self._read(self.model / "curves.csv", _training_curves, "train")

    def heatmaps(self) -> list[Json]:
        """The entries of heatmaps.json, every `file` (relative to `results`) a picture."""
        entries = self._read(self.results / "heatmaps.json", _heatmap_entries)
        for file in [shown["file"] for entry in entries for shown in (entry, *entry["views"])]:
            self._read(self.results / file, _check_picture)
        return entries

    def animation(self) -> Path | None:
        """The GIF of the test set; None where `evaluation.animation` asked for none."""
        path = self.results / "animation.gif"
        if not path.is_file():
            return None
        self._read(path, _check_picture)
        return path

    def _read(
        self, path: Path, read: Callable[[Path], Content], stage: str = "evaluate"
    ) -> Content:
        return _read(path, read, stage, self.name)

    def _own_record(self, path: Path) -> Json:
        record = _json_object(path)
        _with_keys(record, *RECORD_KEYS)
        if any(record[key] != getattr(self, key) for key in ("unit", "method", "seed")):
            raise ValueError("it describes another run")
        return record


def grid(
    models: Path,
    results: Path,
    units: Iterable[str],
    methods: Iterable[str],
    seeds: Iterable[int],
) -> list[Run]:
    """The runs of every unit with every method and seed, in this order; nothing is read yet."""
    methods, seeds = list(methods), list(seeds)
    return [
        _run(models, results, unit, method, seed)
        for unit in units
        for method in methods
        for seed in seeds
    ]


def evaluated_runs(models: Path, results: Path) -> list[Run]:
    """The runs that have numbers in `results`, whatever params.yaml lists, sorted by name."""
    runs = []
    for file in sorted(results.glob("*/*/*-*/metrics.json")):
        unit, folder = file.parent.parent.relative_to(results).as_posix(), file.parent.name
        method, _, seed = folder.rpartition("-")
        if seed.isdecimal():
            runs.append(_run(models, results, unit, method, int(seed)))
    return runs


def preview(synthetic: Path, unit: str) -> Path:
    """The unit's contact sheet of synthetic anomalies; UserError if there is none."""
    path = synthetic / unit / "preview.png"
    _read(path, _check_picture, "synthesize", unit)
    return path


def _run(models: Path, results: Path, unit: str, method: str, seed: int) -> Run:
    folder = f"{unit}/{method}-{seed}"
    return Run(unit, method, seed, models / folder, results / folder)


def _require(path: Path, stage: str, name: str) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing: run {_repro(stage, name)}")


def _read(path: Path, read: Callable[[Path], Content], stage: str, name: str) -> Content:
    """What `read` makes of a file; what it raises becomes one line with the stage to run."""
    _require(path, stage, name)
    try:
        return read(path)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(
            f"{path} is broken ({error}): delete it and run {_repro(stage, name)}"
        ) from None


def _repro(stage: str, name: str) -> str:
    return f"`dvc repro {shlex.quote(f'{stage}@{name}')}`"


def _json_object(path: Path) -> Json:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _heatmap_entries(path: Path) -> list[Json]:
    entries: list[Json] = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        _with_keys(entry, "file", "kind", "image", "score", "views")
        for view in entry["views"]:
            _with_keys(view, "file", "caption")
    return entries


def _with_keys(entry: Json, *keys: str) -> None:
    absent = [key for key in keys if key not in entry]
    if absent:
        raise ValueError(f"no `{absent[0]}` in it")


def _parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd
    from pyarrow import ArrowException

    try:
        return pd.read_parquet(path)
    except ArrowException as error:
        raise ValueError(str(error)) from None


def _scores(path: Path) -> "pd.DataFrame":
    return _with_columns(_parquet(path), "headline", "label", "score")


def _training_curves(path: Path) -> "pd.DataFrame":
    import pandas as pd

    table = _with_columns(pd.read_csv(path), "epoch")
    numbers = table.apply(partial(pd.to_numeric, errors="coerce"))
    wrong = (numbers.isna() & table.notna()).any(axis=1) | (numbers["epoch"] % 1 != 0)
    if wrong.any():
        raise ValueError(f"line {int(wrong.argmax()) + 2}: not an epoch and numbers")
    return table


def _with_columns(table: "pd.DataFrame", *names: str) -> "pd.DataFrame":
    absent = [name for name in names if name not in table]
    if absent:
        raise ValueError(f"no column `{absent[0]}`")
    return table


def _check_picture(path: Path) -> None:
    from PIL import Image

    Image.open(path).close()
