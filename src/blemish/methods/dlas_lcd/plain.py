"""The branch of coherent shifts (`docs/spec/dlas-net.md` §8.2) on the vectors of cells themselves.

No layer is put together with another. For tests; the program never imports it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.methods.glass.plain import Plain, local_loss


def coherent_loss(
    plain: Plain, x: Tensor, regions: Tensor, principal: Tensor, lengths: Tensor
) -> Tensor:
    """Focal loss, on hard rows, of normal images in each of which one region is shifted.

    x: features (B, h, w, C); regions: bool (B, h, w); principal: unit vectors (B, C) of the
    principal subspace; lengths: of the shifts, (B, 1).
    """

    def scores(shift: Tensor) -> Tensor:
        moved = x + regions[..., None] * shift[:, None, None]
        cells: Tensor = plain.discriminator(plain.adaptor(moved).flatten(0, 2))
        return cells

    m = regions.flatten()
    start = (lengths * principal).requires_grad_()
    inside = scores(start)[m]
    loss = F.binary_cross_entropy(inside, torch.ones_like(inside))
    (gradient,) = torch.autograd.grad(loss, start)
    direction = principal + gradient / gradient.norm(dim=1, keepdim=True)
    shift = lengths * direction / direction.norm(dim=1, keepdim=True)
    return local_loss(scores(shift), m, plain.p.hard_quantile)
