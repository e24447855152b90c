"""Bins over the float32 numbers, laid where the scores are.

Uniform bins between the lowest and the highest score fail on heavy tails: one outlier pixel of 10⁶
puts all other scores into the first bin. Here the upper 20 bits of a float32 (sign, exponent, 11
bits of mantissa) name its bucket, and a bucket is cut into as many bins of neighbouring float32
numbers as it deserves, up to one bin a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

BINS = 1 << 17
_LOW_BITS = 12  # a bucket spans 2¹² float32 numbers, a relative width of 2⁻¹¹
_BUCKETS = 1 << (32 - _LOW_BITS)
_LOW = (1 << _LOW_BITS) - 1
_CHUNK = 1 << 15  # pixels at a time, so that the intermediate arrays stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins over the float32 numbers, in ascending order.

    Args:
        bins: (2²⁰,) the number of bins of each bucket, in ascending order of the buckets' numbers:
            0 where no score can lie, at most 4,096, which is one for each number.
    """

    bins: NDArray[np.int32]

    @classmethod
    @cache
    def coarse(cls) -> Binning:
        """One bin a bucket: scores that differ by less than about 0.05 % may share a bin."""
        return cls(np.ones(_BUCKETS, np.int32))

    @cached_property
    def size(self) -> int:
        """The number of all bins."""
        return int(self.bins.sum())

    @cached_property
    def _first(self) -> NDArray[np.int32]:
        """(2²⁰,) the first bin of each bucket; `size` where the bucket has none."""
        first = np.cumsum(self.bins) - self.bins
        return np.where(self.bins == 0, self.size, first).astype(np.int32)

    def index(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """The bin of every score, flattened (n,); `size` where the bins leave a gap."""
        parts = list(self.chunks(scores))
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def chunks(self, scores: NDArray[np.floating]) -> Iterator[NDArray[np.int64]]:
        """`index` in pieces that stay in the processor's cache."""
        flat = np.ascontiguousarray(scores, np.float32).reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            # +0.0 turns −0.0, which is another bit pattern, into the 0.0 that it equals.
            key = (flat[start : start + _CHUNK] + np.float32(0)).view(np.int32)
            yield self._place(key if key.min() >= 0 else _ordered(key))

    def _place(self, key: NDArray[np.int32]) -> NDArray[np.int64]:
        bucket = (key >> _LOW_BITS).astype(np.int64)
        bucket += _BUCKETS // 2
        if self is Binning.coarse():
            return bucket
        # "clip" never clips here: it spares numpy the bounds check, which doubles the speed.
        place = self.bins.take(bucket, mode="clip")
        place *= key & _LOW
        place >>= _LOW_BITS
        place += self._first.take(bucket, mode="clip")
        return place.astype(np.int64)

    def lowest_score(self, bins: NDArray[np.int64]) -> NDArray[np.float32]:
        """The smallest float32 of each bin: `score >= lowest_score` selects it and all above."""
        used = np.flatnonzero(self.bins)
        bucket = used[np.searchsorted(self._first[used], bins, side="right") - 1]
        within = bins - self._first[bucket]
        low = -((-within << _LOW_BITS) // self.bins[bucket])  # rounded up
        key = ((bucket - _BUCKETS // 2) << _LOW_BITS) + low
        return _ordered(key.astype(np.int32)).view(np.float32)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Binning) and np.array_equal(self.bins, other.bins)
        )


def fitted(normal: NDArray[np.int64], anomalous: NDArray[np.int64], bins: int = BINS) -> Binning:
    """Bins handed out to the coarse buckets by what depends on them, about `bins` in all.

    Three equal parts of `bins` go by the share of the normal pixels (AUROC, AUPRO), by the share of
    the anomalous pixels (AP), and by the share of the normal pixels among all that score as high
    (precision and low false-positive rates, where few pixels decide). A bucket that deserves more
    bins than it has numbers is exact.

    Args:
        normal, anomalous: (2²⁰,) pixels in each bucket.
    """
    used = np.flatnonzero(normal + anomalous)
    normal, anomalous = normal[used], anomalous[used]
    above = np.cumsum((normal + anomalous)[::-1])[::-1]
    shares = (_share(normal) + _share(anomalous) + _share(normal / above)) / 3
    counts = np.zeros(_BUCKETS, np.int32)
    counts[used] = np.ceil(shares * bins).clip(1, 1 << _LOW_BITS)
    return Binning(counts)


def _ordered(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float32 bit patterns as integers in the order of the numbers, and back (its own inverse)."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def _share(part: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
    """`part` divided by its sum; all zeros stay zeros."""
    return np.asarray(part / max(part.sum(), np.finfo(float).tiny))
