"""Images as networks want them, decoded and resized once for all methods and seeds of a unit.

A cache beside the graph: a file is named by a hash of the images' pixels and of the framing, so
that it can be deleted at any time and nothing depends on it.
"""

import hashlib
import os
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.files import finished_file
from blemish.core.progress import progress
from blemish.images.framing import Framing, Size, sizes_of
from blemish.images.reading import read_image

STORE = Path("data/store")
GIB = 2**30
AHEAD = 16  # images that are decoded before they are asked for,
AHEAD_BYTES = 1 << 26  # but no more than this once there is one
HELD_BYTES = 1 << 29  # of images that no store keeps, for `OnDemand`


@dataclass(frozen=True)
class Pictures(Sequence[Tensor]):
    """Framed pictures of any sizes, uint8 (3, h, w) each, one after the other in `flat`."""

    flat: Tensor
    sizes: list[Size]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]
        height, width = self.sizes[number]
        start = self._starts[number]
        return self.flat[start : start + 3 * height * width].view(3, height, width)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *np.cumsum([3 * height * width for height, width in self.sizes]).tolist()]


class OnDemand(Sequence[Tensor]):
    """Framed pictures that are decoded when they are asked for; the last few are held."""

    def __init__(self, paths: Sequence[Path], framing: Framing) -> None:
        self._paths, self._framing = paths, framing
        self._held: OrderedDict[int, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]
        if number not in self._held:
            image = self._framing.to_model(read_image(self._paths[number]))
            self._held[number] = torch.from_numpy(image)
            while sum(map(Tensor.numel, self._held.values())) > HELD_BYTES and len(self._held) > 1:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]


@dataclass(frozen=True)
class ImageStore:
    """Framed images in a folder of at most `limit` bytes; the least recently used go first."""

    folder: Path
    limit: float

    def images(self, root: Path, rows: pd.DataFrame, framing: Framing, title: str) -> Tensor:
        """The images of manifest `rows`, uint8 (N, 3, height, width), mapped from disk.

        What does not fit the limit, and rows without a digest (synthetic ones), are read into
        memory. Raises UserError naming a damaged image or a full disk.
        """
        paths = [root / image for image in rows["image"]]
        shape = (len(paths), 3, *framing.window)
        size = int(np.prod(shape))
        if not paths or size > self.limit or rows["digest"].isna().any():
            return load_images(paths, framing, title)
        return self._mapped(rows, paths, size, framing, title).view(shape)

    def pictures(
        self, root: Path, rows: pd.DataFrame, framing: Framing, title: str
    ) -> Sequence[Tensor]:
        """The framed pictures of manifest `rows`, uint8 (3, h, w) each, of any sizes.

        Mapped from disk; what does not fit the limit is decoded whenever it is asked for. Errors
        are those of `images`.
        """
        paths = [root / image for image in rows["image"]]
        sizes = [framing.place(*size).frame for size in sizes_of(rows)]
        size = sum(3 * height * width for height, width in sizes)
        if not paths or size > self.limit or rows["digest"].isna().any():
            return OnDemand(paths, framing)
        return Pictures(self._mapped(rows, paths, size, framing, title), sizes)

    def _mapped(
        self, rows: pd.DataFrame, paths: list[Path], size: int, framing: Framing, title: str
    ) -> Tensor:
        """The pictures of `paths`, `size` bytes, one after the other: uint8 (size,)."""
        file = self.folder / f"{_key(rows['digest'].tolist(), framing)}.bin"
        if not file.is_file() or file.stat().st_size != size:
            self._make(file, paths, size, framing, title)
        os.utime(file)  # for `_shrink`: when it was last used
        return torch.from_file(str(file), shared=False, size=size, dtype=torch.uint8)

    def _make(self, file: Path, paths: list[Path], size: int, framing: Framing, title: str) -> None:
        """Write the framed images of `paths` into `file`, of `size` bytes."""
        self._shrink(size)
        try:
            with finished_file(file) as temporary:
                with temporary.open("wb") as stream:  # a full disk is an error here, not a signal
                    os.posix_fallocate(stream.fileno(), 0, size)
                pixels = np.memmap(temporary, np.uint8, "r+", shape=(size,))
                _read(paths, pixels, framing, title)
                pixels.flush()
        except OSError as error:
            raise UserError(
                f"{self.folder}: the decoded images cannot be written ({error.strerror}): free "
                f"{size / GIB:.1f} GiB, or set `data.store_gib` to 0 in params.yaml"
            ) from None

    def _shrink(self, room: int) -> None:
        """Delete the files that were not used for longest until `room` more bytes fit."""
        files = sorted(self.folder.glob("*.bin"), key=lambda file: file.stat().st_mtime)
        used = sum(file.stat().st_size for file in files)
        for file in files:
            if used + room <= self.limit:
                return
            used -= file.stat().st_size
            file.unlink(missing_ok=True)


IN_MEMORY = ImageStore(STORE, 0)  # keeps nothing


def _key(digests: Sequence[str], framing: Framing) -> str:
    content = "\n".join([str(astuple(framing)), *digests])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def load_images(paths: list[Path], framing: Framing, title: str) -> Tensor:
    """Images as the network sees them, in memory, uint8 (N, 3, height, width)."""
    images = np.empty((len(paths), 3, *framing.window), np.uint8)
    _read(paths, images.reshape(-1), framing, title)
    return torch.from_numpy(images)


def _read(paths: list[Path], flat: NDArray[np.uint8], framing: Framing, title: str) -> None:
    """Decode and frame `paths` into `flat`, on all cores, in order."""
    start = 0
    for image in progress(decoded(paths, framing), title, len(paths), "image"):
        flat[start : start + image.size] = image.ravel()
        start += image.size


def decoded(paths: Sequence[Path], framing: Framing) -> Iterator[NDArray[np.uint8]]:
    """Framed images (3, h, w) in order, with only a few decoded ahead of the reader."""

    def framed(path: Path) -> NDArray[np.uint8]:
        return framing.to_model(read_image(path))

    # OpenCV's own threads would fight with ours.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = iter(paths)
        running = deque(pool.submit(framed, path) for path in islice(waiting, 1))
        while running:
            image = running.popleft().result()
            ahead = min(AHEAD, max(1, AHEAD_BYTES // image.nbytes))
            running += [pool.submit(framed, path) for path in islice(waiting, ahead - len(running))]
            yield image
