"""The losses of GLASS and its relatives (`docs/spec/glass.md` §9): L = L_n + L_gas + L_las."""

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.nn.losses import focal


def normal_loss(logits: Tensor) -> Tensor:
    """Mean binary cross-entropy of sigmoid(logits) against 0 (L_n)."""
    return -F.logsigmoid(-logits).mean()


def anomalous_loss(logits: Tensor) -> Tensor:
    """Mean binary cross-entropy of sigmoid(logits) against 1 (L_gas; what the ascent increases)."""
    return -F.logsigmoid(logits).mean()


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
