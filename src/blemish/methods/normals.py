"""The normal images that a method trains on: whole ones, or windows cut from them."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.images.framing import Framing, Size
from blemish.images.windows import axis
from blemish.methods.variation import Variation

STREAM = 13  # of the random numbers that place windows


class Normals:
    """N pictures of one size that a network sees at once, uint8 (N, 3, h, w).

    Whole images, or windows: cut when they are asked for, never stored. owners: (N,) the image
    that each one shows. side: the shorter side of a whole image in pixels of these pictures, None
    where they are whole.
    """

    def __init__(
        self,
        images: Sequence[Tensor] | Tensor,
        window: Size,
        owners: Tensor,
        places: NDArray[np.int64] | None = None,
        side: float | None = None,
    ) -> None:
        """places: (N, 2) top and left of the windows; None: the images are whole, a tensor."""
        self._images, self._window, self._places = images, window, places
        self.owners, self.side = owners, side

    @classmethod
    def whole(cls, images: Tensor) -> "Normals":
        """Of whole images, uint8 (N, 3, h, w)."""
        return cls(images, (images.shape[2], images.shape[3]), torch.arange(len(images)))

    @classmethod
    def windows(
        cls, images: Sequence[Tensor], sizes: Sequence[Size], framing: Framing, most: int | None,
        seed: int,
    ) -> "Normals":  # fmt: skip
        """Windows of framed pictures of `sizes`.

        All of an image is covered by windows that are then moved at random, but for those at its
        border, so that what is inside can come to lie anywhere in a window. most: how many windows
        there are of all images; each image gives its share.
        """
        random = np.random.default_rng([seed, STREAM])
        places = [_spread(size, framing, random) for size in sizes]
        chosen = _fair([len(part) for part in places], most)
        owners = np.repeat(np.arange(len(sizes)), chosen)
        kept = np.concatenate([part[:count] for part, count in zip(places, chosen, strict=True)])
        side = float(np.median([min(size) for size in sizes]))
        return cls(images, framing.window, torch.from_numpy(owners), kept, side)

    def varied(self, variation: Variation) -> "Normals":
        """The same pictures in drawn light and a little moved; themselves where nothing varies."""
        if not variation:
            return self
        images = variation.of(self._images)
        return Normals(images, self._window, self.owners, self._places, self.side)

    @property
    def shape(self) -> torch.Size:
        """(N, 3, h, w)."""
        return torch.Size((len(self), 3, *self._window))

    def __len__(self) -> int:
        return len(self.owners)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """uint8 (B, 3, h, w)."""
        if isinstance(self._images, Tensor):
            return self._images[rows]
        return self.cut(self._images, rows)

    def cut(self, pictures: Sequence[Tensor], rows: Tensor | slice) -> Tensor:
        """The same windows of other pictures (…, h, w) of the images, such as masks."""
        numbers = torch.arange(len(self))[rows]
        if self._places is None:
            return torch.stack([pictures[number] for number in self.owners[numbers].tolist()])
        height, width = self._window
        places = zip(self.owners[numbers].tolist(), self._places[numbers.numpy()], strict=True)
        return torch.stack(
            [
                pictures[of][..., top : top + height, left : left + width]
                for of, (top, left) in places
            ]
        )

    def __iter__(self) -> Iterator[Tensor]:
        """One picture (3, h, w) after the other."""
        for number in range(len(self)):
            yield self[slice(number, number + 1)][0]

    def batches(self, size: int) -> Iterator[Tensor]:
        """All of them in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self[slice(start, start + size)]


def _spread(size: Size, framing: Framing, random: np.random.Generator) -> NDArray[np.int64]:
    """Windows that cover a picture of `size`, moved, in random order: (K, 2) top and left."""
    starts = []
    for pixels, length in zip(size, framing.window, strict=True):
        step = framing.step if pixels > length else length
        starts.append(axis(pixels, length, framing.overlap if pixels > length else 0, step).starts)
    grid = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 2)
    room = np.array(size) - framing.window
    # By half of what neighbours share: nothing falls between two windows. Those at a border stay
    # there, as no other one sees it.
    moved = grid + random.integers(-framing.overlap // 2, framing.overlap // 2 + 1, grid.shape)
    at_border = (grid == 0) | (grid == room)
    return random.permutation(np.where(at_border, grid, np.clip(moved, 0, room)))


def _fair(counts: Sequence[int], most: int | None) -> NDArray[np.int64]:
    """How many windows each image gives, of the `counts` that it has."""
    given = np.array(counts, dtype=np.int64)
    if most is None or given.sum() <= most:
        return given
    low, high = 0, int(given.max())
    while low < high:  # the largest number an image at which they are not too many
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(given, middle).sum() <= most else (low, middle - 1)
    share = np.minimum(given, low)
    spare = np.flatnonzero(given > low)[: most - int(share.sum())]
    share[spare] += 1
    return share
