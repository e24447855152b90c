"""What a detector says about a set of images, next to what the manifest says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.evaluation.channel_files import Defects, read_channels
from blemish.evaluation.map_storage import Maps
from blemish.images import masks as images
from blemish.images.seen_zones import has_zones
from blemish.images.zones import REST, ZoneMap, read_zone_map
from blemish.metrics.histograms import Channel

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def shrink_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask (H, W) at the size (h, w) of a map that shows the whole image: nearest pixel."""
    height, width = size
    small = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(small > 0)


@dataclass(frozen=True)
class Sample:
    """An anomaly map and its ground truth, of equal size (H, W).

    judged: which pixels count, None where all do; mask and channels hold no others.
    """

    anomaly_map: Map
    mask: Mask
    channels: tuple[Channel, ...] = ()
    judged: Mask | None = None

    @property
    def values(self) -> Map:
        """The map (H, W), or where only a part of it is judged, the values of that (n,)."""
        return self.anomaly_map if self.judged is None else self.anomaly_map[self.judged]

    @property
    def area(self) -> float:
        """The defective share of the pixels that are judged."""
        if self.judged is None:
            return float(self.mask.mean())
        return float(self.mask.sum() / max(self.judged.sum(), 1))


@dataclass(frozen=True)
class Predictions:
    """What a detector says about N images.

    Args:
        rows: N manifest rows (image, mask, label, defect, slice, height, width are read; and
            `channels` and `zones` where there are such columns).
        scores: (N,) float64 image scores, of what is judged.
        maps: N float32 anomaly maps (h, w) at the model's resolution, in memory or read from a file
            when asked for.
        to_original: takes a map (h, w) and a size (H, W) to the map (H, W) of the original image.
        root: the folder that `image` and `mask` are relative to.
        mask_to_model: takes a mask (H, W) and a size (h, w) to the mask of the model's view; to be
            given where the model crops. Used for resolution "model" only.
        defects: the saturation areas of the defects in `channels`.
        zones: the names of the unit's zones, without `ignore`.
        zone_scores: (N, 1 + n), of each zone with a name and of the rest; −∞ where an image has
            none of it. None where no zone has a name.
        zone_alarms: bool (N, 1 + n), which of them are alarms.
    """

    rows: pd.DataFrame
    scores: NDArray[np.float64]
    maps: Maps
    to_original: Callable[[Map, tuple[int, int]], Map]
    root: Path
    mask_to_model: Callable[[Mask, tuple[int, int]], Mask] = shrink_mask
    defects: Defects = field(default_factory=dict)
    zones: tuple[str, ...] = ()
    zone_scores: NDArray[np.float64] | None = None
    zone_alarms: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.scores) == len(self.maps):
            raise ValueError(
                f"{len(self.rows)} rows, {len(self.scores)} scores, {len(self.maps)} maps: "
                "each image needs one of each"
            )

    def sample(self, position: int, resolution: str) -> Sample:
        """The anomaly map and the ground truth of one image at resolution "original" or "model".

        Raises:
            UserError: the map is not finite, or the mask is missing or does not fit.
        """
        row, small = self.rows.iloc[position], np.asarray(self.maps[position])
        if not np.isfinite(small).all():
            raise UserError(
                f"{self.root / row['image']}: its anomaly map holds NaN or infinity: train again"
            )
        mask, channels = read_truth(self.root, row, self.defects)
        zones = self.zone_map(position)
        judged = zones.judged() if zones else None
        if judged is not None:
            mask = mask & judged
            channels = _changed(channels, mask.shape, lambda whole: whole & judged)
        if resolution == "original":
            anomaly_map = self.to_original(small, (mask.shape[0], mask.shape[1]))
            return Sample(anomaly_map, mask, channels, judged)
        return self._at_model_size(small, mask, channels, judged)

    def zone_map(self, position: int) -> ZoneMap | None:
        """The zones of one image at its own size, None where it has none.

        Raises:
            UserError: see `read_zone_map`.
        """
        row = self.rows.iloc[position]
        path, size = row.get("zones"), (int(row["height"]), int(row["width"]))
        return read_zone_map(self.root / path, self.zones, size) if isinstance(path, str) else None

    def judged_values(self, position: int) -> Map:
        """The values of an image's map that are judged; all (h, w) where it has no zones."""
        small, zones = np.asarray(self.maps[position]), self.zone_map(position)
        if zones is None:
            return small
        judged = self.mask_to_model(zones.judged(), (small.shape[0], small.shape[1]))
        return small[judged] if judged.any() else small

    def decisions(self, threshold: float) -> NDArray[np.bool_]:
        """Which images are alarms (N,): where any zone is one, else where the score is above."""
        if self.zone_alarms is not None:
            return np.asarray(self.zone_alarms.any(axis=1))
        return np.asarray(self.scores > threshold)

    @cached_property
    def touched(self) -> NDArray[np.bool_]:
        """Where the defects lie, (N, 2 + n): in what is judged, in each zone, in the rest. All
        False for images without masks or defects, and in units without zones; what has no zones
        is all rest, and an empty mask hides nothing."""
        found = np.zeros((len(self.rows), 2 + len(self.zones)), bool)
        for position in np.flatnonzero(self._marked):
            zones = self.zone_map(int(position))
            mask, _ = read_truth(self.root, self.rows.iloc[position], self.defects)
            if zones is None:
                found[position, [0, -1]] = True, mask.any()
            else:
                parts = (zones.judged(), *map(zones.of, (*zones.names, REST)))
                found[position] = [bool((mask & part).any()) for part in parts]
                found[position, 0] |= not mask.any()
        return found

    @cached_property
    def hidden(self) -> NDArray[np.bool_]:
        """Defective images whose defects all lie in the zone `ignore` (N,)."""
        return self._marked & ~self.touched[:, 0]

    @property
    def _marked(self) -> NDArray[np.bool_]:
        """Defective images with a mask (N,); none where the unit has no zones."""
        if not (self.zones or has_zones(self.rows)):
            return np.zeros(len(self.rows), bool)
        return np.asarray(has_mask(self.rows) & (self.rows["label"] == 1), bool)

    def _at_model_size(
        self, small: Map, mask: Mask, channels: tuple[Channel, ...], judged: Mask | None
    ) -> Sample:
        size = (small.shape[0], small.shape[1])
        shrunk = self.mask_to_model(mask, size)
        counted = None if judged is None else self.mask_to_model(judged, size)
        shrunk = shrunk if counted is None else shrunk & counted
        kept = _changed(
            channels, mask.shape, lambda whole: self.mask_to_model(whole, size) & shrunk
        )
        return Sample(small, shrunk, kept, counted)


def _changed(
    channels: tuple[Channel, ...], shape: tuple[int, ...], change: Callable[[Mask], Mask]
) -> tuple[Channel, ...]:
    """Channels whose masks (H, W) change; saturation areas shrink as they do, one may vanish."""
    kept = []
    for channel in channels:
        whole = np.zeros(shape, bool)
        whole.flat[channel.pixels] = True
        pixels = np.flatnonzero(change(whole))
        share = channel.saturation / channel.pixels.size
        if pixels.size:
            kept.append(Channel(pixels, max(1, round(share * pixels.size))))
    return tuple(kept)


def has_mask(rows: pd.DataFrame) -> pd.Series:
    """Which manifest rows (N,) name a mask or a folder of channels."""
    named = rows["mask"].notna()
    return named | rows["channels"].notna() if "channels" in rows else named


def read_truth(root: Path, row: pd.Series, defects: Defects) -> tuple[Mask, tuple[Channel, ...]]:
    """The mask (H, W) of a manifest row and, where it has a folder of them, its defect channels.

    Raises:
        UserError: as `read_mask` and `read_channels`.
    """
    folder = row.get("channels")
    if folder is None or pd.isna(folder):
        return read_mask(root, row), ()
    mask, channels = read_channels(root / folder, defects)
    _check_size(root / folder, mask, row)
    return mask, channels


def read_mask(root: Path, row: pd.Series) -> Mask:
    """The defect mask (H, W) of a manifest row; all False for a good image without a mask.

    Raises:
        UserError: a defective image without mask, an unreadable file, or one of another size.
    """
    height, width = int(row["height"]), int(row["width"])
    if pd.isna(row["mask"]):
        if row["label"] == 0:
            return np.zeros((height, width), bool)
        raise UserError(
            f"{root / row['image']}: labelled defective ({row['defect']}) but has no mask: add its "
            "mask or remove the image"
        )
    path = root / row["mask"]
    mask = images.read_mask(path)
    _check_size(path, mask, row)
    return mask


def _check_size(path: Path, mask: Mask, row: pd.Series) -> None:
    height, width = int(row["height"]), int(row["width"])
    if mask.shape != (height, width):
        raise UserError(
            f"{path}: the mask is {mask.shape[1]}×{mask.shape[0]} but its image is "
            f"{width}×{height} (width×height): a mask must have its image's size"
        )
