"""What an image file's pixels say: whether it is a mask or a photograph, and an empty mask."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 16  # values: more are not drawn, but come of a camera, of smoothing or of compression
# Of the grey range: pixels so close to its ends count as its ends, for compression moves them.
NEAR = 0.1
MOST = 0.97  # share of the pixels of a mask with soft edges that are dark or bright
MANY = 0.75  # the same where the other image of a pair is surely none
FAINT = 40  # of 255: what lossy compression makes of black stays below


def looks_like_mask(path: Path) -> bool:
    """Whether an image has few values, or nearly all its pixels at two of them."""
    return has_few_values(path) or _has_two_peaks(path)


@lru_cache(maxsize=4096)
def has_few_values(path: Path) -> bool:
    """Whether an image has no more values, or colours, than drawn classes."""
    import numpy as np

    pixels = _pixels(path)
    colours = sum(
        pixels[:, :, band].astype(np.int64) << (8 * band) for band in range(pixels.shape[2])
    )
    return len(np.unique(colours)) <= FEW


def is_black_with_one_value(path: Path) -> bool:
    """Whether an image is black but for pixels of one value, which no photograph is."""
    grey = _pixels(path).max(axis=2)
    return not grey.all() and len(set(grey.ravel().tolist())) <= 2


def is_mostly_two_values(path: Path) -> bool:
    """Whether most pixels of a grey image are dark or bright: a mask with wide soft edges."""
    return _has_two_peaks(path, MANY)


def _has_two_peaks(path: Path, most: float = MOST) -> bool:
    pixels = _pixels(path)
    if int((pixels.max(axis=2) - pixels.min(axis=2)).max()) > FAINT:
        return False  # colours
    grey = pixels.max(axis=2).astype(float)
    low, high = float(grey.min()), float(grey.max())
    margin = NEAR * (high - low)
    extreme = (grey <= low + margin) | (grey >= high - margin)
    if high < FAINT:
        return True
    return high - low > 2 * FAINT and float(extreme.mean()) >= most


def is_empty_mask(path: Path) -> bool:
    """Whether no pixel of a mask is marked."""
    pixels = _pixels(path)
    return int(pixels.max()) < (FAINT if path.suffix.lower() in {".jpg", ".jpeg"} else 1)


def _pixels(path: Path) -> "NDArray[np.uint8]":
    """An image as uint8 (H, W, channels); a palette's indices, not its colours."""
    import numpy as np

    from blemish.images.reading import open_image

    image = open_image(path).image
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(float)
        values = (deep * 255 / max(float(deep.max()), 255.0)).astype(np.uint8)
    else:
        values = np.asarray(image if image.mode in {"L", "P", "RGB"} else image.convert("RGB"))
    return values if values.ndim == 3 else values[:, :, None]
