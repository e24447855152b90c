"""The pictures that defects are made of: a bank on disk, the unit's own normals, real crops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.images.reading import read_image
from blemish.synthesis import augment_dsarad
from blemish.synthesis.augment import augment_at, centre_of
from blemish.synthesis.cache import PictureCache
from blemish.synthesis.crops import read_crop, read_extents
from blemish.synthesis.threads import in_threads
from blemish.textures.index import INDEX

MOST_BYTES = 512 * 2**20
PATCHES = 4  # a side, of a shuffled normal image
Picture = NDArray[np.uint8]
Places = NDArray[np.int64]  # pixels of an image by y·width + x


class TextureBank:
    """Textures of one purpose ("train" or "validation"); the two share no texture class.

    root: the folder that the stage `textures` wrote; normals, crops: the folders of a unit that
    the kinds `self` and `crops` take pictures from (the unit's, and the one `synthesize` wrote).
    Keeps up to 512 MiB of pictures. Textures are drawn whole or, the same bytes with less work, at
    some pixels only: then (K, 3). Raises UserError where `root` is no bank.
    """

    def __init__(
        self, root: Path, purpose: str, normals: Path | None = None, crops: Path | None = None
    ) -> None:
        index = root / INDEX
        if not index.is_file():
            raise UserError(f"{index} is missing: run `dvc repro textures`")
        rows = pd.read_csv(index)
        self.root = root
        self.names: list[str] = rows.loc[rows["purpose"] == purpose, "file"].tolist()
        if not self.names:
            raise UserError(
                f"{index}: no texture for {purpose}: lower or raise "
                "`synthesis.textures.validation_fraction`"
            )
        self._normals, self._crops = normals, crops
        self._extents = read_extents(crops) if crops is not None and crops.is_dir() else {}
        self._cache = PictureCache(MOST_BYTES)

    @property
    def crops(self) -> list[str]:
        """The names of the prepared crops of real defects."""
        return list(self._extents)

    def draw(
        self, name: str, seed: int, height: int, width: int, places: Places | None = None
    ) -> Picture:
        """One texture of GLASS, uint8 (height, width, 3) (`docs/spec/glass.md` §3.3).

        Resized so that it covers the image, three random operations, then the centre.
        """
        picture = self._covering(self.root / name, height, width)
        return _augmented_centre(picture, seed, (height, width), places)

    def draw_squashed(
        self, name: str, seed: int, height: int, width: int, places: Places | None = None
    ) -> Picture:
        """One texture of DSARAD, uint8 (height, width, 3) (`docs/spec/dsarad.md` §2.4).

        Resized to the image's size, whatever the aspect, then three random operations.
        """
        whole = augment_dsarad.augment(self._squashed(self.root / name, height, width), seed)
        return whole if places is None else whole.reshape(-1, 3).take(places, axis=0)

    def draw_shuffled(
        self, name: str, seed: int, height: int, width: int, places: Places | None = None
    ) -> Picture:
        """Patches of a normal image of the unit in another order, augmented as GLASS does."""
        if self._normals is None:
            raise ValueError("this bank was opened without the unit's normal images")
        picture = self._covering(self._normals / name, height, width)
        return _augmented_centre(shuffle_patches(picture, seed), seed, (height, width), places)

    def crop(self, name: str) -> tuple[Picture, float]:
        """A real defect, uint8 (h, w, 4), and its longer side as a share of an image's shorter."""
        if self._crops is None or name not in self._extents:
            raise UserError(f"{name}: no such crop of a real defect: synthesize the unit again")
        path = self._crops / name
        return self._cache.get(path, partial(read_crop, path)), self._extents[name]

    def _covering(self, path: Path, height: int, width: int) -> Picture:
        load = partial(_load_covering, path, height, width)
        return self._cache.get((path, "covering", height, width), load)

    def _squashed(self, path: Path, height: int, width: int) -> Picture:
        def load() -> Picture:
            resized = cv2.resize(read_image(path), (width, height), interpolation=cv2.INTER_LINEAR)
            return np.asarray(resized, dtype=np.uint8)

        return self._cache.get((path, "squashed", height, width), load)


Drawer = Callable[[str, int, int, int, Places], Picture]


@dataclass(frozen=True)
class Pixels:
    """Texture under the masks of a batch: `rows` (K,) of the batch, `places` (K,) y·W + x in an
    image, both int64, and `colours` (K, 3) uint8, image after image.
    """

    rows: torch.Tensor
    places: torch.Tensor
    colours: torch.Tensor

    def of(self, images: torch.Tensor) -> torch.Tensor:
        """Indices of the pixels in images (B, 3, H, W) taken flat: (K, 3)."""
        area = images[0, 0].numel()
        first = self.rows * (3 * area) + self.places
        return first[:, None] + area * torch.arange(3, device=first.device)


def draw_under(
    draw: Drawer, names: Sequence[str], seeds: Sequence[int], masks: torch.Tensor
) -> Pixels:
    """Textures of several rows, each under its mask, (B, H, W) bool, on the masks' device."""
    inside = masks.cpu().numpy()
    height, width = inside.shape[1:]
    places = [np.empty(0, dtype=np.int64)] * len(names)
    colours = [np.empty((0, 3), dtype=np.uint8)] * len(names)

    def fill(number: int) -> None:
        places[number] = np.flatnonzero(inside[number])
        colours[number] = draw(names[number], int(seeds[number]), height, width, places[number])

    in_threads(fill, len(names))
    rows = np.repeat(np.arange(len(names)), [len(part) for part in places])
    parts = (rows, np.concatenate(places), np.concatenate(colours))
    return Pixels(*(torch.from_numpy(part).to(masks.device) for part in parts))


def _load_covering(path: Path, height: int, width: int) -> Picture:
    image = Image.fromarray(read_image(path))
    scale = max(height / image.height, width / image.width)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _augmented_centre(
    picture: Picture, seed: int, size: tuple[int, int], places: Places | None
) -> Picture:
    if places is None:
        return centre_of(picture, seed, size)
    return augment_at(picture, seed, size, places)


def shuffle_patches(picture: Picture, seed: int) -> Picture:
    """The picture's 4×4 equal patches in another order; a rest at the border stays."""
    shuffled = picture.copy()
    high, wide = picture.shape[0] // PATCHES, picture.shape[1] // PATCHES
    order = np.random.default_rng([seed, 9]).permutation(PATCHES * PATCHES)
    blocks = picture[: high * PATCHES, : wide * PATCHES].reshape(PATCHES, high, PATCHES, wide, 3)
    patches = blocks.swapaxes(1, 2).reshape(-1, high, wide, 3)[order]
    restored = patches.reshape(PATCHES, PATCHES, high, wide, 3).swapaxes(1, 2)
    shuffled[: high * PATCHES, : wide * PATCHES] = restored.reshape(
        high * PATCHES, wide * PATCHES, 3
    )
    return shuffled
