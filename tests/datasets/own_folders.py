"""Folders of images in each shape that a user's own may have, and the unit made of one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.own_folder import folder_data_set
from blemish.images.manifest import Manifest, read_manifest
from blemish.prepare.unit import prepare


def picture(path: Path, width: int = 12, height: int = 8) -> Path:
    """A small grey image whose pixels follow from its name and its folder's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = list(os.fsencode("/".join(path.parts[-3:])))
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def annotation(path: Path, width: int = 12, height: int = 8) -> Path:
    """A mask with a defect in its upper left pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[0, 0] = 255
    Image.fromarray(pixels).save(path)
    return path


def mvtec_shape(root: Path) -> None:
    for number in range(10):
        picture(root / "train" / "good" / f"{number:03d}.png")
    for number in range(4):
        picture(root / "test" / "good" / f"{number:03d}.png")
    for number in range(3):
        picture(root / "test" / "scratch" / f"{number:03d}.png")
        annotation(root / "ground_truth" / "scratch" / f"{number:03d}_mask.png")


def loose_shape(root: Path) -> None:
    for number in range(20):
        picture(root / "good" / f"{number:03d}.png")
    for number in range(3):
        picture(root / "scratch" / f"{number:03d}.png")
        annotation(root / "ground_truth" / "scratch" / f"{number:03d}.png")
        picture(root / "dent" / f"{number:03d}.png")
        annotation(root / "ground_truth" / "dent" / f"{number:03d}.png")


def only_good(root: Path) -> None:
    for number in range(20):
        picture(root / "good" / f"{number:03d}.png")


def prepared(root: Path, folder: Path, category: str = "all") -> Manifest:
    """The unit made of an own folder, through the data set's own functions."""
    found = folder_data_set("bolts", str(root))
    raw, target = folder / "raw", folder / "prepared"
    raw.mkdir(parents=True)
    target.mkdir()
    found.fetch(category, raw)
    prepare(found, category, raw, DataParams(), target)
    return read_manifest(target)


def pictures(folder: Path, count: int, suffix: str = ".png", first: int = 0) -> None:
    for number in range(first, first + count):
        picture(folder / f"{number:04d}{suffix}")


def split_counts(manifest: Manifest) -> dict[str, int]:
    """Good and defective images of the test, and all that training and validation have."""
    rows = manifest.rows
    tested = rows[rows["split"] == "test"]
    assert not rows[rows["split"] != "test"]["label"].any()
    return {
        "train": len(rows) - len(tested),
        "good": int((tested["label"] == 0).sum()),
        "bad": int(tested["label"].sum()),
    }


def covered(manifest: Manifest) -> bool:
    """Whether each defective image has the mask whose upper left pixel is marked."""
    bad = manifest.rows[manifest.rows["label"] == 1]
    masks = [np.asarray(Image.open(manifest.root / mask)) for mask in bad["mask"]]
    return all(np.argwhere(mask).tolist() == [[0, 0]] for mask in masks)


def counts(manifest: Manifest) -> dict[tuple[str, str], int]:
    return dict(manifest.rows.groupby(["split", "defect"]).size())


SHAPES: dict[str, tuple[Callable[[Path], None], dict[tuple[str, str], int], str, list[str]]] = {
    "mvtec": (
        mvtec_shape,
        {("train", "good"): 8, ("val", "good"): 2, ("test", "good"): 4, ("test", "scratch"): 3},
        "pixel",
        [],
    ),
    "loose": (
        loose_shape,
        {
            ("train", "good"): 13,
            ("val", "good"): 3,
            ("test", "good"): 4,
            ("test", "scratch"): 3,
            ("test", "dent"): 3,
        },
        "pixel",
        ["No published split"],
    ),
    "only good": (
        only_good,
        {("train", "good"): 13, ("val", "good"): 3, ("test", "good"): 4},
        "none",
        ["No published split", "no defective images: no metric"],
    ),
}
