"""Streaming, mergeable counts of pixel scores, from which every pixel metric follows.

Uniform bins between the lowest and the highest score fail on heavy tails: one outlier pixel of 10⁶
puts all other scores into the first bin. Here a bin is a run of neighbouring float32 numbers, and
two passes over the maps decide how long each run is:

    coarse = PixelHistogram()                       # pass 1: fixed buckets over all float32
    fine = PixelHistogram(coarse.finer_binning())   # pass 2: bins where pass 1 met the pixels

Both passes only add integers, so shards that were counted anywhere, in any order, sum to the same
bits as one run over all images. Memory depends on the number of bins, not of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.evaluation.curves import Ranking

_LOW_BITS = 12  # a bucket spans 2¹² float32 numbers, a relative width of 2⁻¹¹
_BUCKETS = 1 << (32 - _LOW_BITS)
_CHUNK = 1 << 14  # pixels at a time, so that the intermediate arrays stay in the processor's cache

# A region's weight of 1 in fixed point, kept as two words because one int64 cannot hold both
# 56 fractional bits and thousands of regions. Rounding 1/area down costs a region of `area`
# pixels at most area · 2⁻⁵⁶ of its coverage: 10⁻⁹ is reached at 72 million pixels.
_FRACTION_BITS = 56
_WORD_BITS = 28


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins over the float32 numbers, in ascending order.

    The upper 20 bits of a float32 (sign, exponent, 11 bits of mantissa) name its bucket; bucket `b`
    is cut into `2 ** detail[b]` bins of equally many float32 numbers, so that 12 means exact.

    Args:
        detail: (2²⁰,) integers from 0 to 12, one per bucket in ascending order of its numbers; −1
            where no score can lie.
    """

    detail: NDArray[np.int8]

    @classmethod
    @cache
    def coarse(cls) -> Binning:
        """One bin a bucket: scores that differ by less than about 0.05 % may share a bin."""
        return cls(np.zeros(_BUCKETS, np.int8))

    @cached_property
    def _bins(self) -> NDArray[np.int64]:
        """(2²⁰,) number of bins of each bucket."""
        return np.where(self.detail < 0, 0, 1 << self.detail.clip(0).astype(np.int64))

    @cached_property
    def size(self) -> int:
        """The number of all bins."""
        return int(self._bins.sum())

    @cached_property
    def _shift(self) -> NDArray[np.int32]:
        return np.asarray(_LOW_BITS - self.detail.clip(0), np.int32)

    @cached_property
    def _offset(self) -> NDArray[np.int64]:
        """(2²⁰,) added to a shifted key, it lets the bins of all buckets follow each other."""
        first_key = (np.arange(_BUCKETS, dtype=np.int64) - _BUCKETS // 2) << _LOW_BITS
        first_bin = np.where(self.detail < 0, self.size, np.cumsum(self._bins) - self._bins)
        return first_bin - (first_key >> self._shift)

    def index(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """The bin of every score, flattened (n,); size or above where the bins leave a gap."""
        flat = np.ascontiguousarray(scores, np.float32).ravel()
        bins = np.empty(flat.size, np.int64)
        for start in range(0, flat.size, _CHUNK):
            # +0.0 turns −0.0, which is another bit pattern, into the 0.0 that it equals.
            key = _ordered((flat[start : start + _CHUNK] + np.float32(0)).view(np.int32))
            bucket = (key >> _LOW_BITS) + np.int32(_BUCKETS // 2)
            # "clip" never clips here: it spares numpy the bounds check, which doubles the speed.
            key >>= self._shift.take(bucket, mode="clip")
            np.add(key, self._offset.take(bucket, mode="clip"), out=bins[start : start + _CHUNK])
        return bins

    def lowest_score(self, bins: NDArray[np.int64]) -> NDArray[np.float32]:
        """The smallest float32 of each bin: `score >= lowest_score` selects it and all above."""
        bucket = np.searchsorted(np.cumsum(self._bins), bins, side="right")
        key = (bins - self._offset[bucket]) << self._shift[bucket]
        return _ordered(key.astype(np.int32)).view(np.float32)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Binning) and np.array_equal(self.detail, other.detail)
        )


class PixelHistogram:
    """Counts of normal and anomalous pixels per bin, and the coverage of ground-truth regions.

    Attributes:
        normal, anomalous: (bins,) int64 pixel counts.
        coverage: (2, bins) int64, high and low word of the sum of 1/area over the region pixels.
        regions: number of 8-connected ground-truth regions, each of weight 1.
    """

    def __init__(self, binning: Binning | None = None) -> None:
        self.binning = binning or Binning.coarse()
        self.normal = np.zeros(self.binning.size, np.int64)
        self.anomalous = np.zeros(self.binning.size, np.int64)
        self.coverage = np.zeros((2, self.binning.size), np.int64)
        self.regions = 0

    def update(self, anomaly_map: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
        """Add one image: its anomaly map (H, W), taken as float32, and its defect mask (H, W).

        Raises:
            ValueError: the shapes differ; the map holds NaN or infinity; or it holds a score from
                a bucket in which the coarse pass met none.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(
                f"anomaly map {anomaly_map.shape} and mask {mask.shape} differ in size"
            )
        if not np.isfinite([anomaly_map.min(), anomaly_map.max()]).all():
            raise ValueError("the anomaly map holds NaN or infinity")
        bins = self.binning.index(anomaly_map)
        if bins.max() >= self.binning.size:
            raise ValueError("the anomaly map holds scores that the coarse pass did not meet")
        defective = np.flatnonzero(mask)
        np.add.at(self.normal, bins, 1)
        np.subtract.at(self.normal, bins[defective], 1)
        np.add.at(self.anomalous, bins[defective], 1)
        if defective.size:
            self._cover(bins[defective], _region_of(mask)[defective])

    def _cover(self, bins: NDArray[np.int64], region: NDArray[np.int32]) -> None:
        """Add 1/area for every region pixel; `region` counts from 1 within the image."""
        areas = np.bincount(region)
        weight = (1 << _FRACTION_BITS) // areas[region]
        np.add.at(self.coverage[0], bins, weight >> _WORD_BITS)
        np.add.at(self.coverage[1], bins, weight & ((1 << _WORD_BITS) - 1))
        self.regions += len(areas) - 1

    def __add__(self, other: PixelHistogram) -> PixelHistogram:
        """The histogram of both sets of images, equal to the bit to one made from their union."""
        if self.binning != other.binning:
            raise ValueError("histograms over different bins cannot be added")
        total = PixelHistogram(self.binning)
        total.normal = self.normal + other.normal
        total.anomalous = self.anomalous + other.anomalous
        total.coverage = self.coverage + other.coverage
        total.regions = self.regions + other.regions
        return total

    def finer_binning(self, bins: int = 1 << 16) -> Binning:
        """Bins for a second pass, handed out to the coarse buckets by what depends on them.

        Three equal parts of `bins` go by the share of the normal pixels (AUROC, AUPRO), by the
        share of the anomalous pixels (AP), and by the share of the normal pixels among all that
        score as high (precision and low false-positive rates, where few pixels decide). A bucket
        that holds a 16th of the total is exact. The result has at most 2 · `bins` bins, and one
        for each further bucket in use.

        Raises:
            ValueError: this histogram is not coarse.
        """
        if self.binning != Binning.coarse():
            raise ValueError("only a coarse histogram can be refined")
        both = self.normal + self.anomalous
        above = np.cumsum(both[::-1])[::-1]
        near_top = self.normal / np.maximum(above, 1)
        shares = (_share(self.normal) + _share(self.anomalous) + _share(near_top)) / 3
        # frexp finds the power of two at or above exactly; log2 may round to either side.
        mantissa, exponent = np.frexp(shares * bins)
        detail = (exponent - (mantissa == 0.5)).clip(0, _LOW_BITS)
        return Binning(np.where(both > 0, detail, -1).astype(np.int8))

    def ranking(self) -> Ranking:
        """What lies at or above every non-empty bin, from the highest score down."""
        used = np.flatnonzero(self.normal + self.anomalous)[::-1]
        high, low = np.cumsum(self.coverage[:, used], axis=1)
        covered = np.ldexp(high.astype(float), _WORD_BITS - _FRACTION_BITS)
        covered += np.ldexp(low.astype(float), -_FRACTION_BITS)
        return Ranking(
            thresholds=self.binning.lowest_score(used).astype(np.float64),
            false_positives=np.cumsum(self.normal[used]),
            true_positives=np.cumsum(self.anomalous[used]),
            covered_regions=covered,
            regions=self.regions,
        )


def _ordered(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float32 bit patterns as integers in the order of the numbers, and back (its own inverse)."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def _region_of(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H·W,) the 8-connected region of every pixel, 0 outside."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32).ravel()


def _share(part: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
    """`part` divided by its sum; all zeros stay zeros."""
    return part / max(part.sum(), np.finfo(float).tiny)
