"""Storage for the anomaly maps of a test set between scoring and measuring."""

import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IN_MEMORY = 1 << 28  # bytes; more goes to a file

Map = NDArray[np.float32]


class Maps(Protocol):
    """N anomaly maps (h, w), each there when it is asked for: an array, a list, files."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Map: ...


class MapFile:
    """Anomaly maps of any sizes in a temporary file, read one at a time.

    Not a memory map: its pages would count as this process's memory for as long as the system has
    no better use for them. The file has no name: it is gone with this object, however that ends.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._maps: list[tuple[int, tuple[int, ...]]] = []  # where each begins, and its shape

    def append(self, anomaly_map: Map) -> None:
        """Add a map (h, w)."""
        self._maps.append((self._file.seek(0, 2), anomaly_map.shape))
        self._file.write(np.ascontiguousarray(anomaly_map, np.float32).data)

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, position: int) -> Map:
        if not 0 <= position < len(self._maps):
            raise IndexError(position)
        start, shape = self._maps[position]
        self._file.seek(start)
        return np.frombuffer(self._file.read(4 * int(np.prod(shape))), np.float32).reshape(shape)


def map_storage(pixels: int, folder: Path | None = None) -> "list[Map] | MapFile":
    """Empty storage for maps of so many pixels together: a list, or a file in `folder`."""
    return [] if pixels * 4 <= IN_MEMORY else MapFile(folder)
