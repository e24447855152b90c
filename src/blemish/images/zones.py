"""Zones: parts of an image that are never judged, or judged with a tolerance of their own.

A person draws them in files (`ZoneFiles`); the unit keeps one number a pixel (`ZoneMap`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.core.data_params import IGNORE as IGNORE
from blemish.core.data_params import REST as REST
from blemish.core.errors import UserError
from blemish.images.reading import open_image

Mask = NDArray[np.bool_]
IGNORED = 255  # in an index: this pixel is never judged


@dataclass(frozen=True)
class ZoneMap:
    """The zones of one image.

    names: those with tolerances of their own, in the order of params.yaml, without `ignore`.
    index: uint8 (H, W); 0 is the rest of the image, k the k-th of `names`, 255 is ignored.
    """

    names: tuple[str, ...]
    index: NDArray[np.uint8]

    def judged(self) -> Mask:
        """Where the image is judged, bool (H, W): everywhere but in the zone `ignore`."""
        return np.asarray(self.index != IGNORED)

    def of(self, name: str) -> Mask:
        """The pixels of one zone, `ignore`, `rest` or one of `names`, bool (H, W)."""
        number = {IGNORE: IGNORED, REST: 0}.get(name)
        number = 1 + self.names.index(name) if number is None else number
        return np.asarray(self.index == number)


def zone_map(names: Sequence[str], masks: dict[str, Mask], size: tuple[int, int]) -> ZoneMap:
    """The zones of an image of `size` (H, W) from a mask (H, W) a zone.

    Where masks overlap `ignore` wins, else the zone that `names` has first.
    """
    index = np.zeros(size, np.uint8)
    for number, name in reversed(list(enumerate(names, 1))):
        if name in masks:
            index[masks[name]] = number
    if IGNORE in masks:
        index[masks[IGNORE]] = IGNORED
    return ZoneMap(tuple(names), index)


def write_zone_map(zones: ZoneMap, path: Path) -> None:
    """Write the index as an 8-bit grey PNG, its values as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(zones.index).save(path)


def read_zone_map(
    path: Path,
    names: Sequence[str],
    size: tuple[int, int] | None,
    remedy: str = "prepare the unit again",
) -> ZoneMap:
    """What `write_zone_map` wrote for an image of `size` (H, W); None: of any size.

    Raises UserError naming a file that is damaged, has not one 8-bit value a pixel, is of another
    size, or numbers a zone that `names` does not have; `remedy` says what to do.
    """
    image = open_image(path).image
    if image.mode not in {"L", "P"}:
        raise UserError(
            f"{path}: not a map of zones: it has not one 8-bit number a pixel ({image.mode}): "
            f"{remedy}"
        )
    index = np.array(image, np.uint8)
    if size is not None and index.shape != size:
        raise UserError(
            f"{path}: the map of zones is {image.width}×{image.height} but its image is "
            f"{size[1]}×{size[0]}: {remedy}"
        )
    unknown = index[(index > len(names)) & (index != IGNORED)]
    if unknown.size:
        raise UserError(
            f"{path}: holds zone number {unknown.max()}, but {len(names)} zones are named "
            f"({', '.join(names) or 'none'}): {remedy}"
        )
    return ZoneMap(tuple(names), index)
