"""What MLflow holds of a run: its identity, parameters, metrics, curves and tags."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from blemish.core.files import sha256
from blemish.core.workspace import Run

RESULT_TAG = "blemish.result"  # holds `digest`
LONGEST_PARAM = 500
LONGEST_NOTE = 5000


def identity(run: Run) -> tuple[Path, Path, Path]:
    """The files whose bytes, with unit, method and seed, say which result this is."""
    return run.model / "model.json", run.model / "model.safetensors", run.results / "metrics.json"


def digest(run: Run) -> str:
    """SHA-256 over unit, method, seed and the bytes of the identifying files."""
    words = [run.unit, run.method, str(run.seed), *map(sha256, identity(run))]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def title(run: Run) -> str:
    """The run's name in MLflow: elpv/mono glass 0."""
    return f"{run.unit} {run.method} {run.seed}"


def stage(run: Run, kind: str) -> str:
    """The name of the run's stage of a kind: train@elpv/mono-glass-0."""
    return f"{kind}@{run.name}"


def params(run: Run) -> dict[str, str]:
    """The method's parameters under their own names, and how the numbers were made."""
    nested = {
        **run.description.get("params", {}),
        "preprocessing": run.description.get("framing", {}),
        **{key: run.record[key] for key in ("resolution", "input_size", "masks", "counts")},
        "unit": run.unit,
        "method": run.method,
        "seed": run.seed,
    }
    return {_key(name): _shown(value) for name, value in _leaves(nested)}


def metrics(run: Run) -> dict[str, float]:
    """Every number of metrics.json under MLflow's allowed names; undefined ones are left out.

    `image_auroc`, `threshold_recall`, `validation_image_auroc`, `selection_recall`, and, grouped in
    MLflow's pages by their prefix, `defect/<type>/recall`, `area/q1/recall` (the smallest defects)
    and `slice/<name>/image_auroc`.
    """
    record = run.record
    groups = [("", record["metrics"]), ("threshold_", record["threshold"])]
    groups += [(f"{part}_", record.get(part, {})) for part in ("validation", "selection")]
    groups += [("", record.get("oracle", {}).get("metrics", {}))]
    for prefix, part in (("defect", "by_defect"), ("area", "by_area"), ("slice", "slices")):
        named = record.get(part, {})
        groups += [(f"{prefix}/{own}/", named[name]) for name, own in _components(named).items()]
    return {
        prefix + _component(name): float(value)
        for prefix, values in groups
        for name, value in values.items()
        if isinstance(value, int | float)
    }


def measured_on(run: Run, metric: str) -> str:
    """The name of the data set that a metric was measured on, as in `provenance.datasets`."""
    if metric.startswith("selection_"):  # of what the unit has beside its test images
        return run.unit
    return f"{run.unit} synthetic" if metric.startswith("validation_") else f"{run.unit} test"


def curves(run: Run) -> Iterator[tuple[str, int, float]]:
    """(curve, epoch, value) of each filled cell of curves.csv, if there is one.

    Raises:
        UserError: a cell that is no number, by its line.
    """
    if not (run.model / "curves.csv").is_file():
        return
    final = metrics(run)
    table = run.training_curves().set_index("epoch")
    for epoch, row in table.iterrows():
        for name, value in row.dropna().items():
            curve = _component(str(name))
            # A final number keeps its name, with a history of one value.
            yield f"curve_{curve}" if curve in final else curve, int(str(epoch)), float(value)


def tags(run: Run) -> dict[str, str]:
    """What the run is found by in MLflow; its notes become the description there."""
    named = {
        "unit": run.unit,
        "method": run.method,
        "seed": str(run.seed),
        "blemish.protocol": str(run.record["protocol"]),
        "dvc.stage": stage(run, "evaluate"),
    }
    notes = "\n\n".join(run.record["notes"])
    return named | ({"mlflow.note.content": notes[:LONGEST_NOTE]} if notes else {})


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a nested dict; lists stay whole."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_PARAM:
        return text
    return f"{text[:LONGEST_PARAM]}… ({len(text)} characters, all in the model's model.json)"


def _key(name: str) -> str:
    """A name MLflow takes: letters, digits and `_ - . : /` or space, at most 250 characters."""
    return re.sub(r"[^\w .:/-]", "_", name)[:250]


def _components(names: Iterable[str]) -> dict[str, str]:
    """Name → its part of a metric's name. Those that MLflow could not tell apart, such as `A [x]`
    and `A (x)`, end in a digest of the name itself."""
    parts = {name: _component(name) for name in names}
    taken = Counter(parts.values())
    return {
        name: f"{part}_{_short(name)}" if taken[part] > 1 and part != name else part
        for name, part in parts.items()
    }


def _short(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]


def _component(name: str) -> str:
    """One part of a metric's name: MLflow reads `/` as a path and refuses `.` and `..` in it."""
    return re.sub(r"[^\w .-]", "_", name).lstrip(".")[:80] or "_"
