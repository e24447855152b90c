"""Anomaly maps made by any tool against ground truth, both in folders like MVTec's."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.evaluation.channel_files import CONFIG, Defects, read_channels, read_defects
from blemish.evaluation.evaluate import evaluate
from blemish.evaluation.map_reader import SUFFIXES, read_map
from blemish.evaluation.predictions import Map, Predictions
from blemish.images.masks import interpret_mask, mask_notes

NAMED_AS_MASK = re.compile("_(mask|gt|label)$", re.IGNORECASE)
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")

Size = tuple[int, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class MapFiles:
    """Anomaly maps that are read when they are asked for."""

    paths: list[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> NDArray[np.float32]:
        return read_map(self.paths[position])


class BadMaps(UserError):
    """Faults of a folder, of which each is a line: `problems` stop, `notes` may explain them."""

    def __init__(self, problems: list[str], notes: list[str]) -> None:
        super().__init__(" ".join(problems))
        # File names may hold line breaks.
        self.problems = [" ".join(line.split()) for line in problems]
        self.notes = [" ".join(line.split()) for line in notes]


@dataclass(frozen=True)
class Pair:
    """An anomaly map, and the mask or the folder of channels of its image if it has one."""

    name: str  # <type>/<number>
    map: Path
    truth: Path | None


@dataclass(frozen=True)
class Folder:
    """A checked folder: predictions to evaluate, and sentences to print beside them."""

    predictions: Predictions
    resolution: str
    notes: list[str]


def open_folder(maps: Path, masks: Path, resolution: str | None, config: Path | None) -> Folder:
    """Pair every map with its ground truth and check all of them.

    Args:
        maps: holds <type>/<number>.npy, .npz or .tiff.
        masks: holds <type>/<number>_mask.png or <number>.png, or, as MVTec LOCO, a folder
            <type>/<number>/ of defect channels. A map without is of a normal image.
        resolution: "original" resizes the maps to the masks, "model" the masks to the maps; None:
            their sizes must agree.
        config: LOCO's defects_config.json; by default the one in `masks` or beside it.

    Raises:
        BadMaps: a map is missing, doubled, damaged, not finite, or of the wrong size.
        UserError: a folder is missing or empty, or a mask is damaged.
    """
    truths = _truths(masks)
    pairs, problems, notes = _pairs(maps, truths)
    channels = any(pair.truth and pair.truth.is_dir() for pair in pairs)
    defects = read_defects(config or _config(masks)) if channels else {}
    checked: list[Row] = []
    for pair in progress(pairs, "checking maps", len(pairs), "map"):
        try:
            checked.append(_row(pair, defects))
        except UserError as error:
            problems.append(str(error))
    problems += _set_sizes(checked, resolution)
    if problems:
        raise BadMaps(problems, notes)
    # Here an empty mask means a normal image: that is not worth a word.
    done = [(str(row["mask"]), set(row.pop("how")) - {"nothing"}) for row in checked]
    notes += mask_notes(done)
    rows = pd.DataFrame(checked)
    files = MapFiles([Path(name) for name in rows["image"]])
    predictions = Predictions(
        rows, rows["score"].to_numpy(), files, _resize, Path(), defects=defects
    )
    return Folder(predictions, resolution or "original", notes)


def _truths(masks: Path) -> dict[str, Path]:
    """Masks and folders of channels by <type>/<number>."""
    if not masks.is_dir():
        raise UserError(f"{masks}: no such folder; give the folder of the masks")
    truths: dict[str, Path] = {}
    for path in sorted(masks.rglob("*")):
        if path.suffix.lower() not in MASK_SUFFIXES or not path.is_file():
            continue
        parts = path.relative_to(masks).parts
        # <type>/<number>/000.png is a channel: its folder is the truth.
        path = path.parent if len(parts) > 2 and re.fullmatch(r"\d{3}", path.stem) else path
        name = NAMED_AS_MASK.sub("", path.relative_to(masks).with_suffix("").as_posix())
        if truths.setdefault(name, path) != path:
            raise UserError(f"{path}: {truths[name].name} is a mask of the same image: keep one")
    return truths


def _pairs(maps: Path, truths: dict[str, Path]) -> tuple[list[Pair], list[str], list[str]]:
    """Pairs in the order of their names, problems that stop, and notes."""
    if not maps.is_dir():
        raise UserError(f"{maps}: no such folder; give the folder of the anomaly maps")
    named: dict[str, Path] = {}
    problems, notes = [], []
    for path in sorted(path for path in maps.rglob("*") if path.is_file()):
        name = path.relative_to(maps).with_suffix("").as_posix()
        if path.suffix.lower() not in SUFFIXES:
            notes.append(f"{path}: not {', '.join(SUFFIXES)}: ignored.")
        elif named.setdefault(name, path) != path:
            problems.append(f"{path}: {named[name].name} is a map of the same image: keep one")
    if not named:
        raise UserError(f"{maps}: holds no {', '.join(SUFFIXES)} file")
    problems += [
        f"{maps / name}.*: the map is missing, its mask is {truth}"
        for name, truth in truths.items()
        if name not in named
    ]
    with_masks = {name.rpartition("/")[0] for name in truths}
    notes += [
        f"{path}: an extra map without a mask beside the masks of its type: taken as normal."
        for name, path in named.items()
        if name not in truths and name.rpartition("/")[0] in with_masks
    ]
    return [Pair(name, named[name], truths.get(name)) for name in sorted(named)], problems, notes


def _config(masks: Path) -> Path:
    inside = masks / CONFIG
    return inside if inside.is_file() else masks.parent / CONFIG


def _row(pair: Pair, defects: Defects) -> Row:
    """A manifest row with the map's size and its maximum, which is the image's score."""
    anomaly_map = read_map(pair.map)
    row: Row = {
        "image": str(pair.map), "mask": None, "channels": None, "label": 0, "slice": "",
        "defect": pair.name.rpartition("/")[0] or "all", "score": float(anomaly_map.max()),
        "map_size": anomaly_map.shape, "mask_size": None,
        "how": (),
    }  # fmt: skip
    if pair.truth is None:
        return row
    is_folder = pair.truth.is_dir()
    read = interpret_mask(pair.truth) if not is_folder else None
    mask = read.mask if read else read_channels(pair.truth, defects)[0]
    row |= {"mask_size": mask.shape, "label": int(mask.any()), "how": read.how if read else ()}
    return row | {"channels" if is_folder else "mask": str(pair.truth)}


def _set_sizes(rows: list[Row], resolution: str | None) -> list[str]:
    """Give each row its image's original size; returns the maps whose size is wrong.

    The size of an image without a mask is that of the masks where they have one size, else that of
    its map.
    """
    known = {row["mask_size"] for row in rows} - {None}
    common = known.pop() if len(known) == 1 else None
    problems = []
    for row in rows:
        size = row["mask_size"] or common or row["map_size"]
        row["height"], row["width"] = size
        if resolution is None and row["map_size"] != size:
            problems.append(
                f"{row['image']}: the map is {_shown(row['map_size'])} but its mask is "
                f"{_shown(size)} (width×height): say --resolution original or model to resize one"
            )
    return problems


def _shown(size: Size) -> str:
    return f"{size[1]}×{size[0]}"


def _resize(anomaly_map: Map, size: Size) -> Map:
    """Bilinear, as the maps of our own methods."""
    if anomaly_map.shape == size:
        return anomaly_map
    width_height = (size[1], size[0])
    return np.asarray(cv2.resize(anomaly_map, width_height, interpolation=cv2.INTER_LINEAR))


def evaluate_folder(folder: Folder, fpr_limit: float) -> dict[str, Any]:
    """What `blemish metrics` prints: metrics, by_defect, by_area, counts, notes."""
    rows = folder.predictions.rows
    evaluation = evaluate(
        folder.predictions,
        headline=lambda rows: pd.Series(True, index=rows.index),
        masks="pixel",
        threshold=np.inf,
        resolution=folder.resolution,
        aupro_limit=fpr_limit,
    )
    parts = {"by_defect": evaluation.by_defect, "by_area": evaluation.by_area}
    for numbers in (*evaluation.by_defect.values(), *evaluation.by_area.values()):
        del numbers["recall"]  # without a threshold
    good = int((rows["label"] == 0).sum())
    return {
        "map_sizes": sorted({_shown(size) for size in rows["map_size"]}),
        "mask_sizes": sorted({_shown(size) for size in rows["mask_size"].dropna()}),
        "counts": {"good": good, "defective": len(rows) - good},
        "metrics": evaluation.metrics,
        **parts,
        "notes": [*folder.notes, *evaluation.notes],
    }
