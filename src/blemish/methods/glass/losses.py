"""The losses of GLASS and its relatives (`docs/spec/glass.md` §9): L = L_n + L_gas + L_las."""

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHING = 1e-5


def normal_loss(logits: Tensor) -> Tensor:
    """Mean binary cross-entropy of sigmoid(logits) against 0 (L_n)."""
    return -F.logsigmoid(-logits).mean()


def anomalous_loss(logits: Tensor) -> Tensor:
    """Mean binary cross-entropy of sigmoid(logits) against 1 (L_gas; what the ascent increases)."""
    return -F.logsigmoid(logits).mean()


def focal(scores: Tensor, anomalous: Tensor) -> Tensor:
    """Focal loss of each element, γ = 2, α = 1, with both classes smoothed by 1e-5.

    scores: in [0, 1], any shape. anomalous: 0/1 or bool, same shape. Returns the same shape.
    """
    target = SMOOTHING + (1 - 2 * SMOOTHING) * anomalous.to(scores.dtype)
    confidence = (1 - target) * (1 - scores) + target * scores + SMOOTHING
    return -((1 - confidence) ** 2) * confidence.log()


def hard_rows(scores: Tensor, anomalous: Tensor, quantile: float = 0.5) -> Tensor:
    """Online hard example mining: which rows have a squared error of at least its `quantile`.

    Positives and negatives compete with each other. quantile 0 keeps all rows. (N,) -> bool (N,).
    """
    error = (scores.detach() - anomalous.to(scores.dtype)).square()
    return error >= torch.quantile(error, quantile)


def synthesis_loss(scores: Tensor, anomalous: Tensor, quantile: float = 0.5) -> Tensor:
    """Focal loss averaged over the hard rows (L_las). scores, anomalous: (N,)."""
    hard = hard_rows(scores, anomalous, quantile).to(scores.dtype)
    # A weighted mean, since selecting rows would make the host wait for the device.
    return (focal(scores, anomalous) * hard).sum() / hard.sum()
