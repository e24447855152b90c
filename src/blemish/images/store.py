"""Images as networks want them, decoded and resized once for all methods and seeds of a unit.

A cache beside the graph: a file is named by a hash of the images' pixels and of the framing, so
that it can be deleted at any time and nothing depends on it.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from blemish.images.framing import Framing
from blemish.images.reading import read_image

STORE = Path("data/store")
GIB = 2**30


@dataclass(frozen=True)
class ImageStore:
    """Framed images in a folder of at most `limit` bytes; the least recently used go first."""

    folder: Path
    limit: float

    def images(self, root: Path, rows: pd.DataFrame, framing: Framing, title: str) -> Tensor:
        """The images of manifest `rows`, uint8 (N, 3, size, size), mapped from disk.

        What does not fit the limit, and rows without a digest (synthetic ones), are read into
        memory. Raises UserError naming a damaged image or a full disk.
        """
        paths = [root / image for image in rows["image"]]
        shape = (len(paths), 3, framing.size, framing.size)
        size = int(np.prod(shape))
        if not paths or size > self.limit or rows["digest"].isna().any():
            return load_images(paths, framing, title)
        file = self.folder / f"{_key(rows['digest'].tolist(), framing)}.bin"
        if not file.is_file() or file.stat().st_size != size:
            self._make(file, paths, shape, framing, title)
        os.utime(file)  # for `_shrink`: when it was last used
        return torch.from_file(str(file), shared=False, size=size, dtype=torch.uint8).view(shape)

    def _make(
        self, file: Path, paths: list[Path], shape: tuple[int, ...], framing: Framing, title: str
    ) -> None:
        """Write the framed images of `paths` into `file`, uint8 of this shape."""
        self._shrink(int(np.prod(shape)))
        try:
            with finished_file(file) as temporary:
                with temporary.open("wb") as stream:  # a full disk is an error here, not a signal
                    os.posix_fallocate(stream.fileno(), 0, int(np.prod(shape)))
                pixels = np.memmap(temporary, np.uint8, "r+", shape=shape)
                _read(paths, torch.from_numpy(pixels), framing, title)
                pixels.flush()
        except OSError as error:
            raise UserError(
                f"{self.folder}: the decoded images cannot be written ({error.strerror}): free "
                f"{int(np.prod(shape)) / GIB:.1f} GiB, or set `data.store_gib` to 0 in params.yaml"
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
    content = "\n".join([f"{framing.size} {framing.resize} {framing.enlarge}", *digests])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def load_images(paths: list[Path], framing: Framing, title: str) -> Tensor:
    """Images as the network sees them, in memory, uint8 (N, 3, size, size)."""
    shape = (len(paths), 3, framing.size, framing.size)
    return _read(paths, torch.empty(shape, dtype=torch.uint8), framing, title)


def _read(paths: list[Path], images: Tensor, framing: Framing, title: str) -> Tensor:
    """Decode and frame `paths` into `images`, on all cores, in order."""
    # OpenCV's own threads would fight with ours.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        framed = _decoded_ahead(pool, paths, framing)
        for number, image in enumerate(progress(framed, title, len(paths), "image")):
            images[number] = torch.from_numpy(image)
    return images


def _decoded_ahead(
    pool: ThreadPoolExecutor, paths: list[Path], framing: Framing
) -> Iterator[NDArray[np.uint8]]:
    """Framed images in order, with only a few decoded ahead of the reader."""

    def framed(path: Path) -> NDArray[np.uint8]:
        return framing.to_model(read_image(path))

    waiting = iter(paths)
    running = [pool.submit(framed, path) for path in islice(waiting, 16)]
    while running:
        yield running.pop(0).result()
        running += [pool.submit(framed, path) for path in islice(waiting, 1)]
