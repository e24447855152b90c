"""What DMAD remembers of normal images as they are, beside what it learns of warped ones (ours).

Patches are described in PatchCore's way (`docs/spec/patchcore.md` §1), by the two coarser levels.
"""

from torch import Tensor, nn

from blemish.methods.dmad.params import Params
from blemish.methods.glass.features import FrozenFeatures
from blemish.methods.glass.memory import Memory

DIM = 112  # pooled length of a level


class PatchMemory(nn.Module):
    """Features of unwarped images, and the normal ones that are remembered."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        levels = params.strides[1:]
        dim = len(levels) * DIM
        self.features = FrozenFeatures(
            params.backbone, params.weights, levels, DIM, dim, standardise=True
        )
        self.memory = Memory(dim)

    def distances(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> of each cell to the nearest remembered one, (B, h, w) float64."""
        return self.memory.distance(self.features.cells(images.float() / 255))
