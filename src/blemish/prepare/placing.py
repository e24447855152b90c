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
from blemish.images.reading import read_image
from blemish.prepare.masks import item_mask, write_mask
from blemish.prepare.twins import Signature, signature


class Decoded(NamedTuple):
    """What is kept of an item's decoded image: its size in pixels, a digest, its fine detail."""

    height: int
    width: int
    digest: str
    signature: Signature


def decode(item: Item) -> Decoded:
    """Decode an item's image once. Raises UserError naming a damaged file."""
    pixels = _pixels(item)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return Decoded(height, width, digest.hexdigest(), signature(pixels))


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


def place(item: Item, decoded: Decoded, name: str, split: str, folder: Path) -> Row:
    """Link an item's image and channels into `folder`, write its mask; the manifest's row.

    A tile, which no publisher made, is written as PNG.
    """
    image = Path("test" if split == "test" else "train") / item.defect / name
    if item.tile is None:
        link(item.image, folder / image)
    else:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_pixels(item)).save(folder / image)
    mask = None
    if item.has_mask and item.label:
        mask = Path("ground_truth") / item.defect / f"{Path(name).stem}_mask.png"
        write_mask(_mask(item, decoded), folder / mask)
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
        "width": decoded.width,
        "height": decoded.height,
        "digest": decoded.digest,
        "channels": channels.as_posix() if channels else None,
    }


def _pixels(item: Item) -> NDArray[np.uint8]:
    """The item's image, or the tile that it is, uint8 (H, W, 3)."""
    if item.tile is None:
        return read_image(item.image)
    left, top, width, height = item.tile
    pixels = _read_recent(item.image)[top : top + height, left : left + width]
    if pixels.shape[:2] != (height, width):
        raise UserError(f"{item.image}: too small for the tile {width}×{height} at {left}, {top}")
    return pixels


@lru_cache(maxsize=4)
def _read_recent(path: Path) -> NDArray[np.uint8]:
    """Neighbouring items are tiles of one image, which need not be decoded for each."""
    return read_image(path)


def _published_name(item: Item) -> str:
    if item.tile is None:
        return item.image.name
    return f"{item.image.stem}_x{item.tile[0]:04d}_y{item.tile[1]:04d}.png"


def _mask(item: Item, decoded: Decoded) -> NDArray[np.bool_]:
    if item.tile is None:
        return item_mask(item, (decoded.height, decoded.width))
    left, top, width, height = item.tile
    whole = item_mask(item, _read_recent(item.image).shape[:2])
    return whole[top : top + height, left : left + width]
