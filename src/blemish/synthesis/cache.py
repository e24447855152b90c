"""A cache that is bounded by the bytes it holds."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


class PictureCache:
    """Pictures by key, the least recently used dropped first; safe to use from several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0
        self._pictures: OrderedDict[Hashable, Picture] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], Picture]) -> Picture:
        """The picture of `key`, loaded where it is not held."""
        with self._lock:
            picture = self._pictures.get(key)
            if picture is not None:
                self._pictures.move_to_end(key)
                return picture
        loaded = load()
        with self._lock:
            if key not in self._pictures:
                self._pictures[key] = loaded
                self._held += loaded.nbytes
            while self._held > self._most and len(self._pictures) > 1:
                self._held -= self._pictures.popitem(last=False)[1].nbytes
        return loaded
