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
    """Anomaly maps of one size in a temporary file, read one at a time.

    Not a memory map: its pages would count as this process's memory for as long as the system has
    no better use for them. The file has no name: it is gone with this object, however that ends.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._count = 0
        self._shape = (0, 0)

    def append(self, anomaly_map: Map) -> None:
        """Add a map (h, w), of the size of those before."""
        if self._count and anomaly_map.shape != self._shape:
            raise ValueError(f"map {anomaly_map.shape} among maps {self._shape}")
        self._shape = (anomaly_map.shape[0], anomaly_map.shape[1])
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(anomaly_map, np.float32).data)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> Map:
        if not 0 <= position < self._count:
            raise IndexError(position)
        size = self._shape[0] * self._shape[1]
        self._file.seek(position * size * 4)
        return np.frombuffer(self._file.read(size * 4), np.float32).reshape(self._shape)


def map_storage(count: int, size: int, folder: Path | None = None) -> "list[Map] | MapFile":
    """Empty storage for `count` maps (size, size): a list, or a file in `folder` for many."""
    return [] if count * size * size * 4 <= IN_MEMORY else MapFile(folder)
