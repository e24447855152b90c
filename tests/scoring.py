"""Pictures scored as the program scores images, for tests."""

import numpy as np
from torch import Tensor

from blemish.methods.detector import AnyDetector
from blemish.methods.scoring import score_picture


def score_all(
    detector: AnyDetector, images: Tensor, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, h, w) and scores (N,) of framed pictures (N, 3, h, w) of images of one size."""
    size = size or (images.shape[2], images.shape[3])
    scored = [score_picture(detector, image, size) for image in images]
    maps = np.stack([each.anomaly_map for each in scored]) if scored else np.empty((0, *size))
    return maps, np.array([each.scores[0] for each in scored])
