"""What a detector says about a set of images, next to what the manifest says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.data import images
from blemish.errors import UserError

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
class Predictions:
    """What a detector says about N images.

    Args:
        rows: N manifest rows (image, mask, label, defect, slice, height, width are read).
        scores: (N,) float64 image scores.
        maps: (N, h, w) float32 anomaly maps at the model's resolution; may be a memory map.
        to_original: takes a map (h, w) and a size (H, W) to the map (H, W) of the original image.
        root: the folder that `image` and `mask` are relative to.
        mask_to_model: takes a mask (H, W) and a size (h, w) to the mask of the model's view; to be
            given where the model crops. Used for resolution "model" only.
    """

    rows: pd.DataFrame
    scores: NDArray[np.float64]
    maps: NDArray[np.float32]
    to_original: Callable[[Map, tuple[int, int]], Map]
    root: Path
    mask_to_model: Callable[[Mask, tuple[int, int]], Mask] = shrink_mask

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.scores) == len(self.maps):
            raise ValueError(
                f"{len(self.rows)} rows, {len(self.scores)} scores, {len(self.maps)} maps: "
                "each image needs one of each"
            )

    def pixels(self, position: int, resolution: str) -> tuple[Map, Mask]:
        """The anomaly map and the mask of one image at resolution "original" or "model".

        Raises:
            UserError: the map is not finite, or the mask is missing or does not fit.
        """
        row, small = self.rows.iloc[position], np.asarray(self.maps[position])
        if not np.isfinite(small).all():
            raise UserError(
                f"{self.root / row['image']}: its anomaly map holds NaN or infinity: train again"
            )
        mask = read_mask(self.root, row)
        if resolution == "model":
            return small, self.mask_to_model(mask, (small.shape[0], small.shape[1]))
        return self.to_original(small, (mask.shape[0], mask.shape[1])), mask


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
    if mask.shape != (height, width):
        raise UserError(
            f"{path}: the mask is {mask.shape[1]}×{mask.shape[0]} but its image is "
            f"{width}×{height} (width×height): a mask must have its image's size"
        )
    return mask
