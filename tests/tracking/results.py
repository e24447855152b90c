"""Results of a small workspace, and what MLflow holds of them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities import Run

from blemish.tracking.track import Tracked, track

UNITS, METHODS, SEEDS = ["elpv/mono", "lcdsim/grey"], ["glass"], [0]
EXPERIMENT = "blemish"

METRICS = {
    "unit": "elpv/mono",
    "method": "glass",
    "seed": 0,
    "protocol": "honest",
    "resolution": "original",
    "input_size": [224, 224],
    "framing": "squash to 224×224",
    "warning": None,
    "masks": "none",
    "counts": {"train": 900, "val": 160, "test_good": 220, "test_defective": 50},
    "metrics": {"image_auroc": 0.91, "image_ap": 0.8, "pixel_auroc": None},
    "threshold": {"image": 0.43, "false_alarm_rate": 0.05, "precision": None, "recall": 0.7},
    "by_defect": {"crack (severe)/..": {"count": 9, "image_auroc": 0.95, "recall": 0.8}},
    "slices": {"weak-0.1": {"count": 40, "image_auroc": 0.66}},
    "by_area": {"q1": {"count": 3, "recall": 0.4, "area_from": 0.001, "area_to": 0.02}},
    "validation": {"image_auroc": 0.97},
    "notes": ["Boxes, not masks.", "No pixel metrics."],
}

MODEL = {
    "method": "glass",
    "params": {
        "epochs": 3,
        "lr": 1e-4,
        "layers": [2, 3],
        "noise": {"std": 0.015},
        "long": list(range(400)),
        "odd key!": None,
    },
    "framing": {"height": 224, "width": 320, "resize": "fit"},
}

CURVES = "epoch,loss,validation_image_auroc\n0,1.5,\n1,0.75,0.9\n2,0.5,0.97\n"

LOCK = """
schema: '2.0'
stages:
  train@elpv/mono-glass-0:
    cmd: python stages/train.py
    deps:
    - path: data/prepared/elpv/mono
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
    - path: data/synthetic/elpv/mono
      hash: md5
      md5: fedcba9876543210fedcba9876543210.dir
  evaluate@elpv/mono-glass-0:
    cmd: python stages/evaluate.py
    deps:
    - path: data/prepared/elpv/mono
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
"""


def write_result(root: Path, unit: str, method: str = "glass", seed: int = 0) -> None:
    place = Path(unit) / f"{method}-{seed}"
    model, result = root / "models" / place, root / "results" / place
    (result / "curves").mkdir(parents=True)
    (result / "heatmaps").mkdir()
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(f"weights of {unit}".encode())
    (model / "model.json").write_text(json.dumps(MODEL | {"method": method}))
    (model / "curves.csv").write_text(CURVES)
    (result / "metrics.json").write_text(json.dumps(METRICS | {"unit": unit, "seed": seed}))
    pq.write_table(pa.table({"image": ["a.png"], "score": [0.3]}), result / "scores.parquet")
    (result / "curves/roc.csv").write_text("fpr,tpr,threshold\n0,0,1\n1,1,0\n")
    (result / "heatmaps/missed-01.png").write_bytes(b"\x89PNG")
    (result / "heatmaps.json").write_text("[]")


def make_workspace(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for unit in UNITS:
        write_result(root, unit)
    (root / "dvc.lock").write_text(LOCK)
    return root


def track_all(root: Path, uri: str | None = None, **grid: list) -> Tracked:
    axes = {"units": UNITS, "methods": METHODS, "seeds": SEEDS} | grid
    return track(
        root / "models", root / "results", **axes, experiment=EXPERIMENT, uri=uri, root=root
    )


def active_runs(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))
