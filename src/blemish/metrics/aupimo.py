"""AUPIMO: how much of its defect a detector finds in each image at very few false positives.

Bertoldo et al., "AUPIMO: Redefining Visual Anomaly Detection Benchmarks with High Speed and Low
Tolerance", BMVC 2024, section 4; bounds as in `docs/spec/measures.md` §3.

Bins are laid for the metrics of all pixels (see `binning.fitted`). Where the pixels of defects lie
above the highest normal ones, the latter get few bins: the number is then off by at most the part
of its range that such a bin takes, times the share of the defect that lies in it. Of 906 images in
302 random sets one in a hundred was off by more than 10⁻⁴, the worst by 2·10⁻⁴.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from blemish.metrics.binning import Binning

LOWER, UPPER = 1e-5, 1e-4
_IMAGE = 1 << 40  # the weight of an image in fixed point: sums are exact up to 2²³ images


class NormalImages:
    """What part of the normal images lies in each bin, every image being of equal weight."""

    def __init__(self, binning: Binning) -> None:
        self.binning = binning
        self.share = np.zeros(binning.size, np.int64)

    def update(self, values: NDArray[np.floating]) -> None:
        """Add one normal image: its anomaly map (H, W), or those values of it that are judged."""
        weight = _IMAGE // max(values.size, 1)
        for bins in self.binning.chunks(values):
            np.add.at(self.share, bins, weight)

    def false_positives(self) -> "FalsePositives":
        """The false-positive rate, the mean of those of the normal images, by threshold."""
        used = np.flatnonzero(self.share)[::-1]
        rate = np.cumsum(self.share[used])
        return FalsePositives(used, rate / max(int(rate[-1]), 1) if rate.size else rate / 1.0)


@dataclass(frozen=True)
class FalsePositives:
    """The rates that normal images reach at `bins` (K,), from the highest bin down."""

    bins: NDArray[np.int64]
    rate: NDArray[np.float64]

    def aupimo(self, defective: NDArray[np.int64]) -> float | None:
        """Mean recall over log FPR from 10⁻⁵ to 10⁻⁴ of one image.

        At the rate z the threshold is the lowest that keeps it: recall is a step function but for
        bins that normal and defective pixels share, where it is linear in log z.

        Args:
            defective: (n,) the bins of the image's defective pixels.

        Returns None without normal images or without defective pixels.
        """
        if not (self.rate.size and defective.size):
            return None
        bins, width, toward_start, toward_end = self._steps
        ascending = np.sort(defective)
        # Recall where the bin is not yet and where it is fully above the threshold.
        before = 1 - np.searchsorted(ascending, bins, side="right") / defective.size
        after = 1 - np.searchsorted(ascending, bins, side="left") / defective.size
        start = before + (after - before) * toward_start
        end = before + (after - before) * toward_end
        return float(np.sum(width * (start + end) / 2))

    @cached_property
    def _steps(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The steps of the rate that lie in the bounds.

        Of each: its bin; its width as a share of the log range; and how much of the distance from
        the earlier rate to its own, in log FPR, lies before its start and its end in the bounds.
        """
        low, high = np.log(LOWER), np.log(UPPER)
        with np.errstate(divide="ignore"):
            right = np.log(self.rate)
        left = np.concatenate([[-np.inf], right[:-1]])
        inside = (right > low) & (left < high)
        left, right = left[inside], right[inside]
        start, end = left.clip(low, high), right.clip(low, high)
        # The first step is infinitely far from a rate of 0: recall stays until it is reached.
        distance = np.where(np.isfinite(left), right - left, np.inf)
        before = np.where(np.isfinite(left), start - left, 0.0)
        width = (end - start) / (high - low)
        return self.bins[inside], width, before / distance, (before + end - start) / distance
