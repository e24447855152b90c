"""How an image looks, in four numbers: what tells that a lamp, a lens or a camera has changed."""

import cv2
import numpy as np
from numpy.typing import NDArray

MOST = 1024  # pixels a side of what is looked at, from the middle

# What is measured: when it is higher, when it is lower than usual.
LOOKS = {
    "brightness": ("brighter", "darker"),  # mean grey level
    "contrast": ("more contrast", "less contrast"),  # deviation of the grey levels
    "sharpness": ("sharper or noisier", "blurred"),  # mean absolute Laplacian
    "colour": ("redder", "bluer"),  # mean of red less blue
}


def looks_of(picture: NDArray[np.uint8]) -> dict[str, float]:
    """The four numbers of an RGB picture (3, h, w), of its middle where it is large."""
    height, width = picture.shape[1:]
    top, left = max(0, height - MOST) // 2, max(0, width - MOST) // 2
    middle = np.ascontiguousarray(
        picture[:, top : top + MOST, left : left + MOST].transpose(1, 2, 0)
    )
    grey = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY)
    red, _, blue = middle.reshape(-1, 3).mean(axis=0).tolist()
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "sharpness": float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean(dtype=np.float64)),
        "colour": red - blue,
    }
