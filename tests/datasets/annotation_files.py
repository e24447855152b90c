"""Annotation files in the formats that own folders may hold."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.datasets.own_folders import only_good, picture

SIZE = (60, 40)
SQUARE = [[10, 5], [30, 5], [30, 25], [10, 25]]


def labelme(path: Path, shapes: Sequence[Mapping[str, object]], size: object = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size  # type: ignore[misc]
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "x.png"}
    content |= {"imageData": None, "imageHeight": height, "imageWidth": width}
    path.write_text(json.dumps(content))
    return path


def shape(
    points: object = SQUARE, form: str = "polygon", label: object = "dent"
) -> dict[str, object]:
    return {"label": label, "points": points, "shape_type": form, "group_id": None, "flags": {}}


def voc(path: Path, boxes: Sequence[tuple[str, Sequence[float]]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{key}>{value}</{key}>" for key, value in zip(keys, box, strict=True))
        + "</bndbox></object>"
        for name, box in boxes
    )
    path.write_text(f"<annotation><filename>x</filename>{objects}</annotation>")
    return path


def coco(
    path: Path,
    files: Sequence[str],
    boxes: Mapping[str, Sequence[tuple[str, object]]],
    size: tuple[int, int] | None = None,
) -> Path:
    """`boxes`: of each file the type and a box [x, y, w, h], or {"segmentation": …}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = ["", *sorted({kind for entries in boxes.values() for kind, _ in entries})]
    known = {"width": size[0], "height": size[1]} if size else {}
    entries = [
        {"image_id": files.index(file), "category_id": kinds.index(kind), "id": 1}
        | ({"bbox": value, "segmentation": []} if isinstance(value, list) else dict(value))
        for file, group in boxes.items()
        for kind, value in group
    ]
    content = {
        "images": [{"id": at, "file_name": name} | known for at, name in enumerate(files)],
        "categories": [{"id": at, "name": kind} for at, kind in enumerate(kinds)],
        "annotations": entries,
    }
    path.write_text(json.dumps(content))
    return path


def yolo(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def with_scratch(root: Path) -> Path:
    """Normal images and one defective image; its path."""
    only_good(root)
    return picture(root / "scratch/000.png", *SIZE)
