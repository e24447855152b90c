"""From a data set's own layout to the one layout all units share: MVTec folders + manifest."""

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.core.params import DataParams
from blemish.core.progress import progress
from blemish.datasets.dataset import DataSet, Item, images_in
from blemish.images.manifest import Facts, write_manifest
from blemish.images.reading import read_image
from blemish.prepare.annotation import annotated, write_mask
from blemish.prepare.foreground import add_foregrounds
from blemish.prepare.leaks import leak_notes, write_twins
from blemish.prepare.split import split_items
from blemish.prepare.twins import Signature, find_twins, join_groups, signature

T = TypeVar("T")


def prepare(
    data_set: DataSet,
    category: str,
    raw: Path,
    params: DataParams,
    folder: Path,
    foregrounds: Path | None = None,
) -> None:
    """Fill `folder` with `train/good`, `test/<type>`, `ground_truth/<type>` and the manifest.

    Images are linked, never re-encoded; only tiles, which no publisher made, are written, as PNG.
    Each image is decoded once, so that a damaged file is found here and not in training. Masks
    become 8-bit PNG 0/255 of the image's size. Images that show the same thing stay on one side
    of our own splits; where the published split has them on both, a note says so.
    `foregrounds`: make foreground masks of the normals; hand-made ones lie in that folder.
    Raises UserError naming the first file that is damaged or does not fit.
    """
    try:
        _prepare(data_set, category, raw, params, folder, foregrounds)
    except UserError as error:
        # What is wrong must be put right where it came from: DVC would only copy it again.
        origin = f" ({raw} is a copy of {data_set.home})" if data_set.home else ""
        raise UserError(f"{error}{origin}") from None


def _prepare(
    data_set: DataSet,
    category: str,
    raw: Path,
    params: DataParams,
    folder: Path,
    foregrounds: Path | None,
) -> None:
    unit = f"{data_set.name}/{category}"
    layout = data_set.layout(raw, category)
    looks = _for_each(look_at, layout.items, f"reading {unit}")
    twins = list(find_twins([look.detail for look in looks], [look.digest for look in looks]))
    groups = join_groups([item.group for item in layout.items], twins)
    items = [
        dataclasses.replace(item, group=group)
        for item, group in zip(layout.items, groups, strict=True)
    ]
    names = _unique_names(items, raw)
    shares = (params.test_fraction, params.validation_fraction)
    try:
        splits = split_items(items, names, *shares, params.split_seed)
    except UserError as error:
        alike = len({position for one, other, _ in twins for position in (one, other)})
        twinned = f"; {alike} images show the same as another one" if alike else ""
        raise UserError(f"{unit}: {error}{twinned}") from None

    def place(job: tuple[Item, Look, str, str]) -> dict[str, Any]:
        return _place(*job, folder)

    jobs = list(zip(items, looks, names, splits, strict=True))
    rows = _for_each(place, jobs, f"preparing {unit}")
    if foregrounds is not None:
        add_foregrounds(rows, folder, foregrounds)
    for file in layout.files:
        link(file, folder / file.name)
    write_twins(twins, rows, folder / "twins.csv")
    notes = (*layout.notes, *leak_notes(twins, rows), *_counted(data_set, category, rows))
    facts = Facts(unit, layout.masks, layout.extra_slices, notes)
    write_manifest(rows, facts, folder / "manifest.parquet")


class Look(NamedTuple):
    """What one look at an image tells."""

    height: int
    width: int
    digest: str
    detail: Signature


def look_at(item: Item) -> Look:
    """Decode an item's image once. Raises UserError naming a damaged file."""
    pixels = _pixels(item)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return Look(height, width, digest.hexdigest(), signature(pixels))


def _for_each(work: Callable[[Any], T], items: Sequence[Any], title: str) -> list[T]:
    """`work` on each item, on all cores; results in order, so that the first fault is reported."""
    # OpenCV's own threads would fight with ours.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(work, items), title, len(items), "image"))


def _pixels(item: Item) -> NDArray[np.uint8]:
    """The item's image, or the tile that it is, uint8 (H, W, 3)."""
    if item.tile is None:
        return read_image(item.image)
    left, top, width, height = item.tile
    pixels = _recent(item.image)[top : top + height, left : left + width]
    if pixels.shape[:2] != (height, width):
        raise UserError(f"{item.image}: too small for the tile {width}×{height} at {left}, {top}")
    return pixels


@lru_cache(maxsize=4)
def _recent(path: Path) -> NDArray[np.uint8]:
    """Neighbouring items are tiles of one image, which need not be decoded for each."""
    return read_image(path)


def _unique_names(items: Sequence[Item], raw: Path) -> list[str]:
    """A file name for each item that is unique wherever it may go, the published one if so."""

    def places(item: Item, name: str) -> Iterable[tuple[str, str, str]]:
        for split in [item.split] if item.split else ["train", "test"]:
            yield "test" if split == "test" else "train", item.defect, Path(name).stem

    plain = [_tile_name(item) for item in items]
    taken = Counter(
        place for item, name in zip(items, plain, strict=True) for place in places(item, name)
    )
    return [
        name
        if all(taken[place] == 1 for place in places(item, name))
        else (item.image.parent.relative_to(raw) / name).as_posix().replace("/", "__")
        for item, name in zip(items, plain, strict=True)
    ]


def _tile_name(item: Item) -> str:
    if item.tile is None:
        return item.image.name
    return f"{item.image.stem}_x{item.tile[0]:04d}_y{item.tile[1]:04d}.png"


def _place(item: Item, look: Look, name: str, split: str, folder: Path) -> dict[str, Any]:
    """Link one image, write its mask and link its channels; the manifest's row."""
    image = Path("test" if split == "test" else "train") / item.defect / name
    if item.tile is None:
        link(item.image, folder / image)
    else:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_pixels(item)).save(folder / image)
    mask = None
    if item.has_mask and item.label:
        mask = Path("ground_truth") / item.defect / f"{Path(name).stem}_mask.png"
        write_mask(_mask(item, look), folder / mask)
    channels = None
    if item.channels is not None:
        channels = Path("channels") / item.defect / Path(name).stem
        for file in images_in(item.channels):
            link(file, folder / channels / file.name)
    return {
        "image": image.as_posix(),
        "mask": mask.as_posix() if mask else None,
        "split": split,
        "label": item.label,
        "defect": item.defect,
        "slice": item.slice,
        "group": item.group,
        "width": look.width,
        "height": look.height,
        "digest": look.digest,
        "channels": channels.as_posix() if channels else None,
    }


def _mask(item: Item, look: Look) -> NDArray[np.bool_]:
    if item.tile is None:
        return annotated(item, (look.height, look.width))
    left, top, width, height = item.tile
    whole = annotated(item, _recent(item.image).shape[:2])
    return whole[top : top + height, left : left + width]


def _counted(data_set: DataSet, category: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """A note where a publisher's counts are not met: an archive of another version, or a part."""
    found = Counter(
        row["split"]
        if row["split"] != "test"
        else ("test_defective" if row["label"] else "test_good")
        for row in rows
    )
    expected = dict(data_set.expected.get(category, {}))
    if "val" not in expected and "train" in expected:  # our validation set is a part of theirs
        found["train"] += found.pop("val", 0)
    return [
        f"Published: {count} {name.replace('_', ' ')} images; found: {found[name]}."
        for name, count in expected.items()
        if found[name] != count
    ]
