"""From a data set's own layout to the one layout all units share: MVTec folders + manifest."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blemish.data.dataset import DataSet, Item
from blemish.data.images import read_image, read_mask
from blemish.data.manifest import Facts, write_manifest
from blemish.data.split import split_items
from blemish.errors import UserError
from blemish.files import link
from blemish.params import DataParams
from blemish.progress import progress


def prepare(data_set: DataSet, category: str, raw: Path, params: DataParams, folder: Path) -> None:
    """Fill `folder` with `train/good`, `test/<type>`, `ground_truth/<type>` and the manifest.

    Images are linked, never re-encoded; each is decoded once, so that a damaged file is found
    here and not in training. Masks become 8-bit PNG 0/255 of the image's size.
    Raises UserError naming the first file that is damaged or does not fit.
    """
    try:
        _prepare(data_set, category, raw, params, folder)
    except UserError as error:
        # What is wrong must be put right where it came from: DVC would only copy it again.
        origin = f" ({raw} is a copy of {data_set.home})" if data_set.home else ""
        raise UserError(f"{error}{origin}") from None


def _prepare(data_set: DataSet, category: str, raw: Path, params: DataParams, folder: Path) -> None:
    unit = f"{data_set.name}/{category}"
    layout = data_set.layout(raw, category)
    names = _unique_names(layout.items, raw)
    shares = (params.test_fraction, params.validation_fraction)
    try:
        splits = split_items(layout.items, names, *shares, params.split_seed)
    except UserError as error:
        raise UserError(f"{unit}: {error}") from None

    def place(job: tuple[Item, str, str]) -> dict[str, Any]:
        return _place(*job, folder)

    jobs = list(zip(layout.items, names, splits, strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        placed = pool.map(place, jobs)
        rows = list(progress(placed, f"preparing {unit}", len(jobs), "image"))
    facts = Facts(unit, layout.masks, layout.extra_slices, layout.notes)
    write_manifest(rows, facts, folder / "manifest.parquet")


def _unique_names(items: Sequence[Item], raw: Path) -> list[str]:
    """A file name for each item that is unique wherever it may go, the published one if so."""

    def places(item: Item) -> list[tuple[str, str, str]]:
        splits = [item.split] if item.split else ["train", "test"]
        return [(split, item.defect, item.image.stem) for split in splits]

    taken = Counter(place for item in items for place in places(item))
    return [
        item.image.name
        if all(taken[place] == 1 for place in places(item))
        else item.image.relative_to(raw).as_posix().replace("/", "__")
        for item in items
    ]


def _place(item: Item, name: str, split: str, folder: Path) -> dict[str, Any]:
    """Link one image and write its mask; the manifest's row."""
    height, width = read_image(item.image).shape[:2]
    image = Path("test" if split == "test" else "train") / item.defect / name
    link(item.image, folder / image)
    mask = None
    if item.mask is not None:
        mask = Path("ground_truth") / item.defect / f"{Path(name).stem}_mask.png"
        _write_mask(item, (height, width), folder / mask)
    return {
        "image": image.as_posix(),
        "mask": mask.as_posix() if mask else None,
        "split": split,
        "label": item.label,
        "defect": item.defect,
        "slice": item.slice,
        "group": item.group,
        "width": width,
        "height": height,
    }


def _write_mask(item: Item, size: tuple[int, int], target: Path) -> None:
    assert item.mask is not None
    mask = read_mask(item.mask, item.mask_threshold)
    if mask.shape != size:
        raise UserError(
            f"{item.mask}: the mask is {mask.shape[1]}×{mask.shape[0]} but its image "
            f"{item.image.name} is {size[1]}×{size[0]}: give both the same size"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(target)
