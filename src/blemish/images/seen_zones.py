"""Zones as a network sees them: the map of an image's zones at the size of its anomaly map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blemish.core.data_params import Tolerance
from blemish.images.framing import Framing, Size, sizes_of
from blemish.images.zones import REST, Mask, ZoneMap, read_zone_map

if TYPE_CHECKING:  # a program that scores needs no tables
    import pandas as pd

HALF = 127  # of 255
KEPT = 2  # maps in memory: images that share one mostly follow each other


@dataclass(frozen=True)
class SeenZones:
    """The zones of an image.

    zones: at the size of the image. seen: bool (2 + n, h, w), at the size of its anomaly map: all
    that is judged, each of the n zones with names, and the rest.
    """

    zones: ZoneMap
    seen: NDArray[np.bool_]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which of the zones and the rest are anywhere in what the network sees, (1 + n,)."""
        return np.asarray(self.seen[1:].any(axis=(1, 2)))


def see(zones: ZoneMap, framing: Framing) -> SeenZones:
    """The zones of an image as the network sees them.

    A pixel of the map belongs to the zone that has most of it. No zone vanishes by being made
    small: one that is thinner than the pixels gets all that it touches.
    """
    shares = np.stack([framing.covered(zones.of(name)) for name in (*zones.names, REST)])
    share = framing.covered(zones.judged())
    judged = _or_touched(share > HALF, share)
    most = shares.argmax(axis=0)
    parts = [_or_touched((most == at) & judged, shares[at]) for at in range(len(shares))]
    return SeenZones(zones, np.stack([judged, *parts]))


def _or_touched(part: Mask, share: NDArray[np.uint8]) -> Mask:
    return part if part.any() else np.asarray(share > 0)


class ZoneReader:
    """Reads the zones of a unit's images, by the rows of its manifest.

    root: the folder that the rows' paths are relative to. names: of the zones, without `ignore`.
    """

    def __init__(self, root: Path, names: Sequence[str], framing: Framing) -> None:
        self.root, self.names, self.framing = root, tuple(names), framing

        @lru_cache(KEPT)
        def read(path: str, size: Size) -> SeenZones:
            return see(read_zone_map(root / path, self.names, size), framing)

        self._read = read

    def of(self, row: "pd.Series") -> SeenZones | None:
        """The zones of an image, None where it has none. Raises UserError, see `read_zone_map`."""
        path = row.get("zones")
        if not isinstance(path, str):
            return None
        return self._read(path, (int(row["height"]), int(row["width"])))

    def each(self, rows: "pd.DataFrame") -> Iterator[SeenZones | None]:
        """Those of some rows, one after the other."""
        return (self.of(row) for _, row in rows.iterrows())


class UnitZones(NamedTuple):
    """The zones of a unit: tolerances by name, what reads the images' maps, and the manifest's
    rows that are not of the test set."""

    tolerances: dict[str, Tolerance]
    reader: ZoneReader
    rows: "pd.DataFrame"

    def of_normals(self) -> Iterator[SeenZones | None]:
        """Those of the validation normals, one after the other."""
        return self.reader.each(
            self.rows[(self.rows["split"] == "val") & (self.rows["label"] == 0)]
        )


def shared_map(root: Path, rows: "pd.DataFrame", names: Sequence[str]) -> ZoneMap | None:
    """The map of zones that all images of some rows have, None where they differ."""
    paths = set(rows["zones"]) if "zones" in rows and len(rows) else {None}
    sizes = set(sizes_of(rows))
    (path,) = paths if len(paths) == 1 else (None,)
    if not isinstance(path, str) or len(sizes) != 1:
        return None
    return read_zone_map(root / path, names, sizes.pop())


def has_zones(rows: "pd.DataFrame") -> bool:
    """Whether any image of some manifest rows has zones."""
    return "zones" in rows and bool(rows["zones"].notna().any())
