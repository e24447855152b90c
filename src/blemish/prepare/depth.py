"""16-bit images: which value is black and which is white, once for a whole unit.

Cameras put 10, 12 or 14 bits into 16-bit files, and thermal or X-ray detectors use a narrow band
far from 0. Divided by 65,535 a few grey levels would be left of them.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from blemish.images.reading import Levels, may_be_deep, read_values

# Shares of an image's pixels, in percent, that may be dead or hot.
DEAD, HOT = 0.01, 99.99


def value_range(path: Path) -> Levels | None:
    """The darkest and brightest value of a 16-bit image, dead pixels aside; None if it has 8."""
    if not may_be_deep(path):
        return None
    values = read_values(path)
    if values.dtype != np.uint16:
        return None
    low, high = np.percentile(values, [DEAD, HOT])
    return int(low), int(np.ceil(high))


def find_levels(ranges: Iterable[Levels | None]) -> Levels | None:
    """Black and white for images with these ranges; None if none of them has 16 bits.

    From 0 to the end of the smallest number of bits that holds the values: a camera's range, in
    which a defect may be brighter than all that is normal. Where the values keep far from 0, half
    of their range more on both sides.
    """
    known = [values for values in ranges if values is not None]
    if not known:
        return None
    low, high = min(low for low, _ in known), max(high for _, high in known)
    if low < high / 4:
        return 0, 2 ** max(8, high.bit_length()) - 1
    margin = max(1, (high - low) // 2)
    return max(0, low - margin), min(65535, high + margin)


def levels_note(levels: Levels, given: bool) -> str:
    """What was done, for the unit's notes."""
    origin = "`data.levels`" if given else "the training images"
    return (
        f"16-bit images: values {levels[0]} to {levels[1]} became 0 to 255, as {origin} say; "
        "this is the same for all images, and in prediction."
    )
