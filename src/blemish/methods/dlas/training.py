"""DLAS-Net's training, after `docs/spec/dlas-net.md`: GLASS's with five changes (§1).

Its masks (§2) are the kind `dlas` of training's defects, its small batches (§4) a parameter. Left
for this file is the feature level (§3).
"""

from dataclasses import replace

from torch import Tensor

from blemish.methods.dlas.detector import Dlas
from blemish.methods.dlas.projection import adaptive_projection
from blemish.methods.glass.hidden_ascent import Ascent, Projection
from blemish.methods.glass.training import GlassTrainer


class DlasTrainer(GlassTrainer):
    """Steps grow with the gradient, and the projection follows from the offsets."""

    detector: Dlas

    @property
    def ascent(self) -> Ascent:
        """A step is 0.001 · (1 + ‖∇‖) long. With the mean loss ‖∇‖ is some 1e-3 (§3)."""
        return replace(super().ascent, gain=self.detector.params.ascent_gain)

    def projection(self, radius: Tensor | None) -> Projection:
        """It follows from the offsets alone (§3), unless GLASS's is asked for."""
        adaptive = self.detector.params.shell == "adaptive"
        return adaptive_projection(*self.bounds) if adaptive else super().projection(radius)


TRAINER = DlasTrainer
