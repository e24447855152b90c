"""An item in the layout that all units share: its image, its mask, its row of the manifest."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.datasets.dataset import Item, images_in
from blemish.images.manifest import Row
from blemish.images.masks import ReadMask
from blemish.images.reading import Levels, as_rgb, read_image, read_values
from blemish.prepare.masks import item_mask, write_mask
from blemish.prepare.twins import Signature, signature


class Decoded(NamedTuple):
    """What is kept of an item's decoded image: its size in pixels, a digest, its fine detail, and
    whether its file has 16 bits."""

    height: int
    width: int
    digest: str
    signature: Signature
    deep: bool


class Placed(NamedTuple):
    """An item's row of the manifest, and what had to be done to its mask (`images.masks.SAID`)."""

    row: Row
    mask: tuple[str, ...]


def decode(item: Item, levels: Levels | None) -> Decoded:
    """Decode an item's image once; `levels`: what 16 bits mean in this unit.

    Raises UserError naming a damaged file.
    """
    pixels, deep = _pixels(item, levels)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return Decoded(height, width, digest.hexdigest(), signature(pixels), deep)


def unique_names(items: Sequence[Item], raw: Path) -> list[str]:
    """A file name for each item that is unique wherever it may go, the published one if so."""

    def places(item: Item, name: str) -> Iterable[tuple[str, str, str]]:
        for split in [item.split] if item.split else ["train", "test"]:
            yield "test" if split == "test" else "train", item.defect, Path(name).stem

    named = [(item, _published_name(item)) for item in items]
    taken = Counter(place for item, name in named for place in places(item, name))
    names = [
        name
        if all(taken[place] == 1 for place in places(item, name))
        else (item.image.parent.relative_to(raw) / name).as_posix().replace("/", "__")
        for item, name in named
    ]
    # Masks are named by their images' stems, which `a.png` and `a.bmp` share.
    stems = Counter((item.defect, Path(name).stem) for item, name in zip(items, names, strict=True))
    return [
        _with_suffix_in_stem(Path(name))
        if item.has_mask and stems[item.defect, Path(name).stem] > 1
        else name
        for item, name in zip(items, names, strict=True)
    ]


def _with_suffix_in_stem(name: Path) -> str:
    return f"{name.stem}_{name.suffix[1:]}{name.suffix}"


def place(
    item: Item, decoded: Decoded, name: str, split: str, folder: Path, levels: Levels | None
) -> Placed:
    """Link an item's image and channels into `folder`, write its mask.

    A tile, which no publisher made, is written as PNG, and so are 16-bit images, in 8 bits.
    """
    # Below train there is nothing but normals, whoever reads the folders without the manifest.
    top = "test" if split == "test" else "selection" if item.label else "train"
    image = Path(top) / item.defect / name
    if item.tile is None and not decoded.deep:
        link(item.image, folder / image)
    else:
        # `a.tif` beside `a.png` must not become one file.
        image = image if image.suffix == ".png" else image.with_name(f"{image.name}.png")
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_pixels(item, levels)[0]).save(folder / image)
    mask: Path | None = None
    done: tuple[str, ...] = ()
    if item.has_mask and item.label:
        mask = Path("ground_truth") / item.defect / f"{Path(name).stem}_mask.png"
        defective, done = _mask(item, decoded)
        write_mask(defective, folder / mask)
    channels = None
    if item.channels is not None:
        channels = Path("channels") / item.defect / Path(name).stem
        for file in images_in(item.channels):
            link(file, folder / channels / file.name)
    row: Row = {
        "image": image.as_posix(),
        "mask": mask.as_posix() if mask else None,
        "split": split,
        "label": item.label,
        "defect": item.defect,
        "slice": item.slice,
        "group": item.group,
        "width": decoded.width,
        "height": decoded.height,
        "digest": decoded.digest,
        "channels": channels.as_posix() if channels else None,
    }
    return Placed(row, done)


def _pixels(item: Item, levels: Levels | None) -> tuple[NDArray[np.uint8], bool]:
    """The item's image, or the tile that it is, uint8 (H, W, 3); whether its file has 16 bits."""
    if item.tile is None:
        values = read_values(item.image)
        return as_rgb(values, levels), values.dtype == np.uint16
    left, top, width, height = item.tile
    pixels = _read_recent(item.image, levels)[top : top + height, left : left + width]
    if pixels.shape[:2] != (height, width):
        raise UserError(f"{item.image}: too small for the tile {width}×{height} at {left}, {top}")
    return pixels, False


@lru_cache(maxsize=4)
def _read_recent(path: Path, levels: Levels | None) -> NDArray[np.uint8]:
    """Neighbouring items are tiles of one image, which need not be decoded for each."""
    return read_image(path, levels)


def _published_name(item: Item) -> str:
    if item.tile is None:
        return item.image.name
    return f"{item.image.stem}_x{item.tile[0]:04d}_y{item.tile[1]:04d}.png"


def _mask(item: Item, decoded: Decoded) -> ReadMask:
    if item.tile is None:
        return item_mask(item, (decoded.height, decoded.width))
    left, top, width, height = item.tile
    size = _read_recent(item.image, None).shape[:2]
    return ReadMask(item_mask(item, size).mask[top : top + height, left : left + width])
