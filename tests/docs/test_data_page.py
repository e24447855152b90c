"""Every tree of docs/data.md, made as it is drawn, is understood as the page says."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.datasets.own_folder import categories_in
from tests.datasets.annotation_files import coco, labelme, shape, voc, yolo
from tests.datasets.own_folders import annotation, picture, prepared

PAGE = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text(encoding="utf-8")
TREES = re.findall(r"```\nphotos/\n(.*?)```", PAGE, re.DOTALL)
SIZE = (12, 8)
# Of each tree: its category, its defective images by type, how exact its masks are.
MEANT = [
    ("all", {"scratch": 2, "dent": 1}, "pixel"),
    ("all", {"scratch": 1}, "pixel"),
    ("all", {"scratch": 2}, "pixel"),
    ("all", {"scratch": 2}, "pixel"),
    ("all", {"scratch": 2}, "pixel"),
    ("all", {"scratch": 1, "dent": 1}, "boxes"),
    ("all", {"dent": 3}, "boxes"),
    ("all", {"dent": 2}, "boxes"),
    ("all", {"dent": 2}, "boxes"),
    ("Class1", {"defect": 2}, "pixel"),
    ("all", {"defect": 1}, "pixel"),
    ("all", {"defect": 1}, "pixel"),
]


def files_of(tree: str) -> Iterator[Path]:
    """The files that a tree draws; `…` are ten more like the one before."""
    folders: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        name, _, files = line.strip().partition("/")
        if line.strip().endswith(".yaml"):
            yield Path(line.strip())
            continue
        folders[depth:] = [name]
        last = ""
        for file in files.split():
            if file == "…":
                stem, suffix = last.split(".")
                for more in range(1, 11):
                    yield Path(*folders, f"{int(stem) + more:0{len(stem)}d}.{suffix}")
            else:
                yield Path(*folders, file)
                last = file


def make(root: Path, file: Path, files: list[Path]) -> None:
    path, in_masks = root / file, re.search(r"mask|ground|label|gt|Annot", file.as_posix(), re.I)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "_annotations.coco.json":
        inside = [one.name for one in files if one.parent == file.parent and one.suffix == ".jpg"]
        coco(path, inside, {inside[0]: [("dent", [1, 1, 4, 4])]}, SIZE)
    elif path.suffix == ".json":
        labelme(path, [shape([[1, 1], [5, 1], [5, 5]])], SIZE)
    elif path.suffix == ".xml":
        voc(path, [("dent", (1, 1, 5, 5))])
    elif path.suffix == ".txt":
        yolo(path, "0 0.5 0.5 0.3 0.3")
    elif path.suffix == ".yaml":
        path.write_text("names: [dent]\n")
    elif in_masks or (path.suffix == ".png" and file.with_suffix(".jpg") in files):
        annotation(path)
        of_good = "Part" in path.name or "_GT" in path.name
        if (
            of_good
            and file.name not in {"10000_GT.png", "000_GT.png"}
            and "01/Part0" not in str(file)
        ):
            Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(path)
    else:
        picture(path)


def test_each_tree_has_its_meaning() -> None:
    assert len(TREES) == len(MEANT)


@pytest.mark.parametrize("number", range(len(MEANT)))
def test_a_tree_of_the_page_is_understood(number: int, tmp_path: Path) -> None:
    category, bad, masks = MEANT[number]
    files = list(files_of(TREES[number]))
    for file in files:
        make(tmp_path / "own", file, files)
    assert categories_in("bolts", tmp_path / "own") == (category,)
    manifest = prepared(tmp_path / "own", tmp_path, category)
    rows = manifest.rows
    assert dict(rows[rows["label"] == 1]["defect"].value_counts()) == bad
    assert manifest.facts.masks == masks
    assert not any(note.startswith("left out") for note in manifest.facts.notes)
    assert set(rows["split"]) == {"train", "val", "test"}
