"""One (unit, method, seed) result on disk, in the words of MLflow."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError
from blemish.core.files import sha256

LONGEST_PARAM = 500
LONGEST_NOTE = 5000


@dataclass(frozen=True)
class Result:
    """What `train` and `evaluate` wrote for one unit, method and seed."""

    unit: str
    method: str
    seed: int
    model: Path
    evaluation: Path

    @classmethod
    def of(cls, models: Path, results: Path, unit: str, method: str, seed: int) -> "Result":
        """The result at its place in the folders of the graph."""
        place = Path(unit) / f"{method}-{seed}"
        return cls(unit, method, seed, models / place, results / place)

    @property
    def name(self) -> str:
        return f"{self.unit} {self.method} {self.seed}"

    @property
    def identity(self) -> tuple[Path, Path, Path]:
        """The files whose bytes, with unit, method and seed, say which result this is."""
        model = self.model
        return model / "model.json", model / "model.safetensors", self.evaluation / "metrics.json"

    @property
    def complete(self) -> bool:
        return all(path.is_file() for path in self.identity)

    def digest(self) -> str:
        """SHA-256 over unit, method, seed and the bytes of the identifying files."""
        words = [self.unit, self.method, str(self.seed), *map(sha256, self.identity)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    def stage(self, kind: str) -> str:
        """The name of this result's stage of a kind: `train@elpv/mono-glass-0`."""
        return f"{kind}@{self.unit}-{self.method}-{self.seed}"

    @cached_property
    def described(self) -> dict[str, Any]:
        return _object(self.model / "model.json")

    @cached_property
    def evaluated(self) -> dict[str, Any]:
        return _object(self.evaluation / "metrics.json")

    def params(self) -> dict[str, str]:
        """The method's parameters under their own names, and how the numbers were made."""
        evaluated = self.evaluated
        about = {key: evaluated.get(key) for key in ("resolution", "input_size", "masks", "counts")}
        nested = {
            **self.described.get("params", {}),
            "preprocessing": self.described.get("preprocessing", {}),
            **{key: value for key, value in about.items() if value is not None},
            "unit": self.unit,
            "method": self.method,
            "seed": self.seed,
        }
        return {_key(name): _shown(value) for name, value in _leaves(nested)}

    def metrics(self) -> dict[str, float]:
        """Every number of metrics.json under MLflow's allowed names; undefined ones are left out.

        `image_auroc`, `threshold_recall`, `validation_image_auroc`, and, grouped in MLflow's
        pages by their prefix, `defect/<type>/recall`, `area/q1/recall` (the smallest defects) and
        `slice/<name>/image_auroc`.
        """
        evaluated = self.evaluated
        groups = [("", evaluated.get("metrics", {}))]
        groups += [(f"{part}_", evaluated.get(part, {})) for part in ("threshold", "validation")]
        groups += [("", evaluated.get("oracle", {}).get("metrics", {}))]
        for prefix, part in (("defect", "by_defect"), ("area", "by_area"), ("slice", "slices")):
            named = evaluated.get(part, {}).items()
            groups += [(f"{prefix}/{_component(name)}/", values) for name, values in named]
        return {
            prefix + _component(name): float(value)
            for prefix, values in groups
            for name, value in values.items()
            if isinstance(value, int | float)
        }

    def curves(self) -> Iterator[tuple[str, int, float]]:
        """(curve, epoch, value) of each filled cell of curves.csv."""
        path = self.model / "curves.csv"
        if not path.is_file():
            return
        final = self.metrics()
        with path.open(newline="", encoding="utf-8") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                try:
                    epoch = int(row.pop("epoch"))
                    values = {name: float(cell) for name, cell in row.items() if cell}
                except (KeyError, TypeError, ValueError):
                    raise UserError(
                        f"{path}, line {number}: not an epoch and numbers; "
                        f"run `dvc repro --force --single-item {self.stage('train')}`"
                    ) from None
                for name, value in values.items():
                    curve = _component(name)
                    # A final number keeps its name, with a history of one value.
                    yield f"curve_{curve}" if curve in final else curve, epoch, value

    def tags(self) -> dict[str, str]:
        """What this result's run is found by; the notes become the run's description."""
        tags = {
            "unit": self.unit,
            "method": self.method,
            "seed": str(self.seed),
            "blemish.protocol": str(self.evaluated.get("protocol", "honest")),
            "dvc.stage": self.stage("evaluate"),
        }
        notes = "\n\n".join(self.evaluated.get("notes", []))
        return tags | ({"mlflow.note.content": notes[:LONGEST_NOTE]} if notes else {})


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); run `dvc checkout {path.parent}`") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object; run `dvc checkout {path.parent}`")
    return value


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a nested dict; lists stay whole."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_PARAM:
        return text
    return f"{text[:LONGEST_PARAM]}… ({len(text)} characters, all in model/model.json)"


def _key(name: str) -> str:
    """A name MLflow takes: letters, digits and `_ - . : /` or space, at most 250 characters."""
    return re.sub(r"[^\w .:/-]", "_", name)[:250]


def _component(name: str) -> str:
    """One part of a metric's name: MLflow reads `/` as a path and refuses `.` and `..` in it."""
    return re.sub(r"[^\w .-]", "_", name).lstrip(".")[:80] or "_"
