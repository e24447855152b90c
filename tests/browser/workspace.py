"""A small workspace of made-up results, in the formats of `synthesize`, `train` and `evaluate`."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

METHODS = ["glass", "dmad"]
SEEDS = [0, 1]
MASKED = "lcdsim/grey"
UNMASKED = "elpv/mono"
UNITS = [MASKED, UNMASKED]
GOOD, PER_DEFECT, THRESHOLD = 40, 12, 0.5


def make_workspace(
    root: Path, units: dict[str, list[str]], methods: list[str], seeds: list[int]
) -> None:
    """Write models/, results/ and data/synthetic/ below `root`; `units` maps to defect types."""
    for unit, defects in units.items():
        preview = root / "data" / "synthetic" / unit / "preview.png"
        preview.parent.mkdir(parents=True, exist_ok=True)
        tiles = [_panel(np.random.default_rng(index), True) for index in range(12)]
        rows = [np.hstack(tiles[index : index + 4]) for index in (0, 4, 8)]
        cv2.imwrite(str(preview), np.vstack(rows))
        for number, method in enumerate(methods):
            for seed in seeds:
                random = np.random.default_rng([len(unit), number, seed])
                model = root / "models" / unit / f"{method}-{seed}"
                results = root / "results" / unit / f"{method}-{seed}"
                model.mkdir(parents=True)
                _write_training(model, random)
                _write_results(results, unit, method, seed, defects, random)


def _write_training(folder: Path, random: np.random.Generator) -> None:
    epochs = np.arange(24)
    fall = np.exp(-epochs / 8)
    pd.DataFrame(
        {
            "epoch": epochs,
            "loss": 2 * fall + 0.1 + random.normal(0, 0.03, 24),
            "loss_normal": fall + 0.05 + random.normal(0, 0.02, 24),
            "validation_auroc": np.where(epochs % 4 == 3, 1 - 0.4 * fall, np.nan),
        }
    ).to_csv(folder / "curves.csv", index=False)


def _write_results(
    folder: Path,
    unit: str,
    method: str,
    seed: int,
    defects: list[str],
    random: np.random.Generator,
) -> None:
    scores = _scores(defects, random)
    (folder / "curves").mkdir(parents=True)
    scores.to_parquet(folder / "scores.parquet")
    test = scores[scores["headline"]]
    fpr, tpr, at = roc_curve(test["label"], test["score"])
    _csv(folder, "roc", {"fpr": fpr, "tpr": tpr, "threshold": at})
    precision, recall, at = precision_recall_curve(test["label"], test["score"])
    _csv(folder, "pr", {"recall": recall, "precision": precision, "threshold": [*at, np.inf]})
    if unit != UNMASKED:
        x = np.linspace(0, 1, 400)
        _csv(folder, "pro", {"fpr": x, "pro": x ** (0.1 + 0.02 * seed)})
    _write_draws(folder, unit, seed, random)
    record = _record(unit, method, seed, test, defects)
    (folder / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    _write_heatmaps(folder, test, random)


def _write_draws(folder: Path, unit: str, seed: int, random: np.random.Generator) -> None:
    """Bootstrap draws about as wide as test sets of this size give."""
    centers = {"image_auroc": 0.93, "image_ap": 0.92, "image_f1max": 0.88}
    if unit != UNMASKED:
        centers |= {"pixel_auroc": 0.962 + 0.004 * seed, "pixel_aupro": 0.871 + 0.01 * seed}
    draws = {name: random.normal(center, 0.01, 200) for name, center in centers.items()}
    pd.DataFrame(draws).to_parquet(folder / "bootstrap.parquet", index=False)


def _scores(defects: list[str], random: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    groups = [("good", "", "test", GOOD), *((name, "", "test", PER_DEFECT) for name in defects)]
    groups += [(defects[0], "doubtful", "test", 6), (defects[0], "", "validation", 10)]
    for name, subset, split, count in groups:
        center = 0.3 if name == "good" else 0.62
        for index, score in enumerate(random.normal(center, 0.13, count)):
            rows.append(
                {
                    "image": f"{split}/{name}/{subset}{index:03d}.png",
                    "split": split,
                    "label": int(name != "good"),
                    "defect": name,
                    "slice": subset,
                    "headline": split == "test" and not subset,
                    "score": score,
                    "decision": int(score > THRESHOLD),
                }
            )
    return pd.DataFrame(rows)


def _record(
    unit: str, method: str, seed: int, test: pd.DataFrame, defects: list[str]
) -> dict[str, Any]:
    label, score, alarm = test["label"], test["score"], test["decision"] == 1
    masked, defective = unit != UNMASKED, PER_DEFECT * len(defects)
    pixel = {"pixel_auroc": 0.962 + 0.004 * seed, "pixel_aupro": 0.871 + 0.01 * seed}
    more = {"pixel_ap": 0.512, "pixel_f1max": 0.547, "pixel_fpr95": 0.181}
    per_defect = {
        name: {
            "count": PER_DEFECT,
            "image_auroc": float(roc_auc_score(label[part], score[part])),
            "recall": float(alarm[test["defect"] == name].mean()),
            **(pixel if masked else {}),
        }
        for name in defects
        if len(part := test["defect"].isin(["good", name]))
    }
    weak = {
        f"weak-{beta}": {"count": 20, "image_auroc": round(0.99 - len(method) * beta**2 / 10, 4)}
        for beta in (0.1, 0.3, 0.5, 0.7)
    }
    return {
        "unit": unit,
        "method": method,
        "seed": seed,
        "protocol": "honest",
        "resolution": "original",
        "input_size": [224, 224],
        "framing": "squash to 224×224",
        "warning": None,
        "masks": "pixel" if masked else "none",
        "counts": {"train": 400, "val": 70, "test_good": GOOD, "test_defective": defective},
        "metrics": {
            "image_auroc": float(roc_auc_score(label, score)),
            "image_ap": float(average_precision_score(label, score)),
            "image_f1max": 0.913,
            "image_fpr95": 0.27,
            **({**pixel, **more} if masked else {}),
        },
        "threshold": {
            "image": THRESHOLD,
            "false_alarm_rate": 0.05,
            "validation_normals": 70,
            "expected_rate": 0.056,
            "rate_low": 0.016,
            "rate_high": 0.12,
            "precision": float(label[alarm].mean()),
            "recall": float(alarm[label == 1].mean()),
            "accuracy": float((alarm == (label == 1)).mean()),
            "test_false_alarm_rate": float(alarm[label == 0].mean()),
        },
        "by_defect": per_defect,
        "slices": {"doubtful": {"count": 6, "image_auroc": 0.71}, **weak},
        "validation": {"image_auroc": 0.951},
        "notes": ["The doubtful images (6) are not part of the headline numbers."],
    }


def _write_heatmaps(folder: Path, test: pd.DataFrame, random: np.random.Generator) -> None:
    (folder / "heatmaps").mkdir()
    entries = []
    kinds = [
        ("missed", 1, True),
        ("found", 1, False),
        ("false_alarm", 0, False),
        ("quiet", 0, True),
    ]
    for kind, label, lowest in kinds:
        chosen = test[test["label"] == label].sort_values("score", ascending=lowest)[:2]
        for number, row in enumerate(chosen.to_dict("records"), start=1):
            file = f"heatmaps/{kind}-{number:02d}.png"
            panel = _panel(random, label == 1)
            heat = cv2.applyColorMap(cv2.GaussianBlur(255 - panel, (31, 31), 9), cv2.COLORMAP_TURBO)
            strip = np.hstack([panel, panel // 2 + heat // 2, panel])
            strip = cv2.copyMakeBorder(strip, 30, 25, 6, 6, cv2.BORDER_CONSTANT, value=[255] * 3)
            cv2.imwrite(str(folder / file), strip)
            names = ("image", "score", "label", "defect")
            views = _write_views(folder, f"heatmaps/{kind}-{number:02d}", panel)
            entry = {"file": file, "kind": kind, "views": views}
            entries.append(entry | {name: row[name] for name in names})
    (folder / "heatmaps.json").write_text(json.dumps(entries), encoding="utf-8")
    first, *others = [Image.fromarray(_panel(random, odd)) for odd in (False, True, False)]
    first.save(folder / "animation.gif", save_all=True, append_images=others, duration=500, loop=0)


def _write_views(folder: Path, stem: str, panel: np.ndarray) -> list[dict[str, str]]:
    """Two pictures as a method's `views` gives them."""
    pictures = {"warped image": panel, "field <b>along</b> x": 255 - panel}
    written = []
    for number, (caption, picture) in enumerate(pictures.items(), start=1):
        file = f"{stem}-view-{number}.png"
        cv2.imwrite(str(folder / file), picture)
        written.append({"file": file, "caption": caption})
    return written


def _panel(random: np.random.Generator, defective: bool, size: int = 100) -> np.ndarray:
    """A grey cell with busbars and grain, (size, size, 3) uint8; a dark crack if defective."""
    image = np.full((size, size), 150.0) + random.normal(0, 6, (size, size))
    image += 14 * np.sin(np.linspace(0, 3, size))[None, :]
    image[:, [size // 4, size // 2, 3 * size // 4]] -= 60
    image = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))
    if defective:
        turns = random.normal(0, 7, (6, 2)).cumsum(axis=0) + random.uniform(30, 70, 2)
        cv2.polylines(image, [turns.astype(np.int32)], False, 40, 3, cv2.LINE_AA)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def _csv(folder: Path, name: str, columns: dict[str, Any]) -> None:
    pd.DataFrame(columns).to_csv(folder / "curves" / f"{name}.csv", index=False)
