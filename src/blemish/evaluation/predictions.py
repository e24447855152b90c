"""What a detector says about a set of images, next to what the manifest says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.evaluation.channel_files import Defects, read_channels
from blemish.evaluation.map_storage import Maps
from blemish.images import masks as images
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
    """An anomaly map and its ground truth, of equal size (H, W)."""

    anomaly_map: Map
    mask: Mask
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class Predictions:
    """What a detector says about N images.

    Args:
        rows: N manifest rows (image, mask, label, defect, slice, height, width are read; and
            `channels` where there is such a column).
        scores: (N,) float64 image scores.
        maps: N float32 anomaly maps (h, w) at the model's resolution, in memory or read from a file
            when asked for.
        to_original: takes a map (h, w) and a size (H, W) to the map (H, W) of the original image.
        root: the folder that `image` and `mask` are relative to.
        mask_to_model: takes a mask (H, W) and a size (h, w) to the mask of the model's view; to be
            given where the model crops. Used for resolution "model" only.
        defects: the saturation areas of the defects in `channels`.
    """

    rows: pd.DataFrame
    scores: NDArray[np.float64]
    maps: Maps
    to_original: Callable[[Map, tuple[int, int]], Map]
    root: Path
    mask_to_model: Callable[[Mask, tuple[int, int]], Mask] = shrink_mask
    defects: Defects = field(default_factory=dict)

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
        if resolution == "original":
            return Sample(self.to_original(small, (mask.shape[0], mask.shape[1])), mask, channels)
        return self._at_model_size(small, mask, channels)

    def _at_model_size(self, small: Map, mask: Mask, channels: tuple[Channel, ...]) -> Sample:
        """Saturation areas shrink as their channels do; a channel may vanish."""
        size = (small.shape[0], small.shape[1])
        shrunk, kept = self.mask_to_model(mask, size), []
        for channel in channels:
            whole = np.zeros(mask.shape, bool)
            whole.flat[channel.pixels] = True
            pixels = np.flatnonzero(self.mask_to_model(whole, size) & shrunk)
            share = channel.saturation / channel.pixels.size
            if pixels.size:
                kept.append(Channel(pixels, max(1, round(share * pixels.size))))
        return Sample(small, shrunk, tuple(kept))


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
