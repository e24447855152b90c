"""Streaming, mergeable counts of pixel scores, from which every pixel metric follows.

Two passes over the maps:

    coarse = PixelHistogram()                       # pass 1: fixed buckets over all float32
    fine = PixelHistogram(coarse.finer_binning())   # pass 2: bins where pass 1 met the pixels

Both passes only add integers, so shards that were counted anywhere, in any order, sum to the same
bits as one run over all images. Memory depends on the number of bins, not of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.metrics.binning import BINS, Binning, fitted
from blemish.metrics.curves import Ranking

# A region's weight of 1 in fixed point, kept as two words because one int64 cannot hold both
# 56 fractional bits and thousands of regions. Rounding 1/area down costs a region of `area`
# pixels at most area · 2⁻⁵⁶ of its coverage: 10⁻⁹ is reached at 72 million pixels.
_FRACTION_BITS = 56
_WORD_BITS = 28


@dataclass(frozen=True)
class Channel:
    """A defect that sPRO judges on its own (`docs/spec/measures.md` §2).

    pixels: (n,) as flat places in the image. saturation: a detector that marks as many of the n
    pixels has found the whole defect.
    """

    pixels: NDArray[np.int64]
    saturation: int


class Coverage:
    """How much of the regions lies in each bin, each region being of weight 1.

    Attributes:
        words: (2, bins) int64, high and low word of the sum of the pixels' weights.
        regions: the number of regions.
    """

    def __init__(self, bins: int) -> None:
        self.words = np.zeros((2, bins), np.int64)
        self.regions = 0

    def add(
        self, bins: NDArray[np.int64], region: NDArray[np.int32], saturation: NDArray[np.int64]
    ) -> None:
        """Add pixels, each worth 1/saturation of its region.

        Args:
            bins, region: (n,) of the pixels; regions count from 0, all of them occur.
            saturation: (regions,) pixels that fill a region.
        """
        weight = (1 << _FRACTION_BITS) // saturation
        np.add.at(self.words[0], bins, (weight >> _WORD_BITS)[region])
        np.add.at(self.words[1], bins, (weight & ((1 << _WORD_BITS) - 1))[region])
        self.regions += len(saturation)

    def __add__(self, other: Coverage) -> Coverage:
        if not (self.regions and other.regions):
            return self if self.regions else other
        total = Coverage(self.words.shape[1])
        total.words, total.regions = self.words + other.words, self.regions + other.regions
        return total

    def above(self, bins: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """(K,) sum of what lies in `bins`, from the first on; None without regions."""
        if not self.regions:
            return None
        high, low = np.cumsum(self.words[:, bins], axis=1)
        covered = np.ldexp(high.astype(float), _WORD_BITS - _FRACTION_BITS)
        return np.asarray(covered + np.ldexp(low.astype(float), -_FRACTION_BITS))

    def share_above(self, bins: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """`above` as a share of all; ends at 1 although the pixels' weights were rounded down."""
        covered = self.above(bins)
        return None if covered is None else covered / covered[-1]


class PixelHistogram:
    """Counts of normal and anomalous pixels per bin, and the coverage of ground-truth regions.

    Attributes:
        normal, anomalous: (bins,) int64 pixel counts.
        regions: coverage of the 8-connected regions of the masks, for PRO.
        channels: coverage of the defect channels up to their saturation areas, for sPRO.
    """

    def __init__(self, binning: Binning | None = None) -> None:
        self.binning = binning or Binning.coarse()
        self.normal = np.zeros(self.binning.size, np.int64)
        self.anomalous = np.zeros(self.binning.size, np.int64)
        self.regions = Coverage(self.binning.size)
        self.channels = Coverage(self.binning.size)

    def update(
        self,
        anomaly_map: NDArray[np.floating],
        mask: NDArray[np.bool_],
        channels: Sequence[Channel] = (),
        judged: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """Add one image with its regions. Returns the bins of the defective pixels (n,).

        Args:
            anomaly_map: (H, W), taken as float32.
            mask: (H, W) where it is defective.
            channels: the defects that sPRO judges one by one; their union is the mask.
            judged: (H, W) which pixels count, the mask's among them; None: all.

        Raises:
            ValueError: as `count`.
        """
        defective = self.count(anomaly_map, mask, judged)
        if defective.size:
            region = _regions(mask)
            self.regions.add(defective, region, np.bincount(region))
        for channel in channels:
            # The first pixels to be found fill the saturation area, further ones add nothing.
            bins, area = self.binning.index(anomaly_map.flat[channel.pixels]), channel.saturation
            top = np.partition(bins, bins.size - area)[bins.size - area :]
            self.channels.add(top, np.zeros(area, np.int32), np.array([area]))
        return defective

    def count(
        self,
        anomaly_map: NDArray[np.floating],
        mask: NDArray[np.bool_],
        judged: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """Add one image without its regions: all that a first pass needs.

        Returns the bins of the defective pixels (n,), in the order of the pixels.

        Raises:
            ValueError: the shapes differ; the map holds NaN or infinity; it holds a score from a
                bucket in which the coarse pass met none; or a defective pixel is not judged.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(
                f"anomaly map {anomaly_map.shape} and mask {mask.shape} differ in size"
            )
        if not np.isfinite([anomaly_map.min(), anomaly_map.max()]).all():
            raise ValueError("the anomaly map holds NaN or infinity")
        if judged is not None and (mask & ~judged).any():
            raise ValueError("the mask holds pixels that are not judged")
        for bins in self.binning.chunks(anomaly_map if judged is None else anomaly_map[judged]):
            if bins.max() >= self.binning.size:
                raise ValueError("the anomaly map holds scores that the coarse pass did not meet")
            np.add.at(self.normal, bins, 1)
        defective = self.binning.index(anomaly_map[mask])
        np.subtract.at(self.normal, defective, 1)
        np.add.at(self.anomalous, defective, 1)
        return defective

    def __add__(self, other: PixelHistogram) -> PixelHistogram:
        """The histogram of both sets of images, equal to the bit to one made from their union."""
        if self.binning != other.binning:
            raise ValueError("histograms over different bins cannot be added")
        total = PixelHistogram(self.binning)
        total.normal = self.normal + other.normal
        total.anomalous = self.anomalous + other.anomalous
        total.regions = self.regions + other.regions
        total.channels = self.channels + other.channels
        return total

    def finer_binning(self, bins: int = BINS) -> Binning:
        """Bins for a second pass, about `bins`, where this one met the pixels.

        Raises:
            ValueError: this histogram is not coarse.
        """
        if self.binning != Binning.coarse():
            raise ValueError("only a coarse histogram can be refined")
        return fitted(self.normal, self.anomalous, bins)

    def ranking(self) -> Ranking:
        """What lies at or above every non-empty bin, from the highest score down."""
        used = np.flatnonzero(self.normal + self.anomalous)[::-1]
        return Ranking(
            false_positives=np.cumsum(self.normal[used]),
            true_positives=np.cumsum(self.anomalous[used]),
            thresholds=self.binning.lowest_score(used).astype(np.float64),
            regions=self.regions.share_above(used),
            channels=self.channels.share_above(used),
        )


def _regions(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The 8-connected region of each defective pixel (n,), from 0 on."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32)[mask] - np.int32(1)
