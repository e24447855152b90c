"""The images of a shift as `blemish watch` judges them, with a table that only looks so."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

SCORES = {"a.png": 0.9, "b.png": 0.52, "c.png": 0.41, "d.png": 0.1}  # doubt: b, c, a = d …
THRESHOLD = 0.5
BY_DOUBT = ["b.png", "c.png", "a.png", "d.png"]


def write_shift(root: Path, scores: dict[str, float] = SCORES) -> None:
    """`camera/` with images and `judged/parts/bolts/` with table, overlays and a LabelMe draft."""
    judged = root / "judged/parts/bolts"
    for number, name in enumerate(scores):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        for file in (root / "camera" / name, judged / "overlays" / f"{name}.png"):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, format="PNG")
    write_table(judged / "scores.csv", scores)
    draft = {
        "version": "7.9.1", "flags": {}, "imagePath": "a.png", "imageData": None,
        "imageHeight": 24, "imageWidth": 32,
        "shapes": [{"label": "defect", "points": [[2, 2], [20, 2], [2, 12]],
                    "shape_type": "polygon", "flags": {"predicted": True}}],
    }  # fmt: skip
    (judged / "labelme").mkdir()
    (judged / "labelme/a.json").write_text(json.dumps(draft))


def write_table(file: Path, scores: dict[str, float]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "score", "decision", "threshold", "error"])
        for name, score in scores.items():
            writer.writerow([name, score, int(score > THRESHOLD), THRESHOLD, ""])
