"""A loss that several methods share (`docs/spec/glass.md` §9, `docs/spec/dsarad.md` §4)."""

from torch import Tensor

SMOOTHING = 1e-5


def focal(scores: Tensor, anomalous: Tensor) -> Tensor:
    """Focal loss of each element, γ = 2, α = 1, with both classes smoothed by 1e-5.

    scores: in [0, 1], any shape. anomalous: 0/1 or bool, same shape. Returns the same shape.
    """
    target = SMOOTHING + (1 - 2 * SMOOTHING) * anomalous.to(scores.dtype)
    confidence = (1 - target) * (1 - scores) + target * scores + SMOOTHING
    return -((1 - confidence) ** 2) * confidence.log()
