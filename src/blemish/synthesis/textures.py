"""The pictures that defects are made of: a bank on disk, the unit's own normals, real crops."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from blemish.data.images import read_image
from blemish.errors import UserError
from blemish.synthesis import INDEX, augment_dsarad
from blemish.synthesis.augment import augment
from blemish.synthesis.cache import PictureCache
from blemish.synthesis.crops import read_crop, read_extents

MOST_BYTES = 512 * 2**20
PATCHES = 4  # a side, of a shuffled normal image
Picture = NDArray[np.uint8]


class TextureBank:
    """Textures of one purpose ("train" or "validation"); the two share no texture class.

    root: the folder that the stage `textures` wrote; normals, crops: the folders of a unit that
    the kinds `self` and `crops` take pictures from (the unit's, and the one `synthesize` wrote).
    Keeps up to 512 MiB of pictures. Raises UserError where `root` is no bank.
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

    def draw(self, name: str, seed: int, height: int, width: int) -> Picture:
        """One texture of GLASS, uint8 (height, width, 3) (`methods/glass.md` §3.3).

        Resized so that it covers the image, three random operations, then the centre.
        """
        return _augmented_centre(
            self._covering(self.root / name, height, width), seed, height, width
        )

    def draw_squashed(self, name: str, seed: int, height: int, width: int) -> Picture:
        """One texture of DSARAD, uint8 (height, width, 3) (`methods/dsarad.md` §2.4).

        Resized to the image's size, whatever the aspect, then three random operations.
        """
        return augment_dsarad.augment(self._squashed(self.root / name, height, width), seed)

    def draw_shuffled(self, name: str, seed: int, height: int, width: int) -> Picture:
        """Patches of a normal image of the unit in another order, augmented as GLASS does."""
        if self._normals is None:
            raise ValueError("this bank was opened without the unit's normal images")
        picture = self._covering(self._normals / name, height, width)
        return _augmented_centre(_shuffled(picture, seed), seed, height, width)

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


Drawer = Callable[[str, int, int, int], Picture]


def draw_all(
    draw: Drawer, names: Sequence[str], seeds: Sequence[int], height: int, width: int
) -> torch.Tensor:
    """Pictures of several rows, uint8 (B, height, width, 3), on as many threads as PyTorch's."""
    drawn = np.empty((len(names), height, width, 3), dtype=np.uint8)

    def fill(number: int) -> None:
        drawn[number] = draw(names[number], int(seeds[number]), height, width)

    threads = min(torch.get_num_threads(), len(names))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(len(names))))
    else:
        for number in range(len(names)):
            fill(number)
    return torch.from_numpy(drawn)


def _load_covering(path: Path, height: int, width: int) -> Picture:
    image = Image.fromarray(read_image(path))
    scale = max(height / image.height, width / image.width)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _augmented_centre(picture: Picture, seed: int, height: int, width: int) -> Picture:
    texture = augment(Image.fromarray(picture), seed)
    left, top = (texture.width - width) // 2, (texture.height - height) // 2
    return np.asarray(texture.crop((left, top, left + width, top + height)))


def _shuffled(picture: Picture, seed: int) -> Picture:
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
