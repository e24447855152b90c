"""DLAS-Net (2025), after `docs/spec/dlas-net.md`: GLASS with five changes (§1).

Its masks (§2) are the kind `dlas` of training's defects, its single level, small batches and
narrow smoothing (§4, §5) are parameters. Left for this file is the feature level (§3).
"""

from dataclasses import replace

from torch import Tensor

from blemish.methods.dlas.projection import adaptive_shell
from blemish.methods.glass.family import CoSynthesis
from blemish.methods.glass.hidden_ascent import Ascent, Shell


class Dlas(CoSynthesis):
    """GLASS with steps that grow with the gradient and a shell that follows from the offsets."""

    name = "dlas"

    @property
    def ascent(self) -> Ascent:
        """A step is 0.001 · (1 + ‖∇‖) long. With the mean loss ‖∇‖ is some 1e-3 (§3)."""
        return replace(super().ascent, gain=self.params.ascent_gain)

    def shell(self, radius: Tensor | None) -> Shell:
        """The shell follows from the offsets alone (§3), unless GLASS's is asked for."""
        adaptive = self.params.shell == "adaptive"
        return adaptive_shell(*self.bounds) if adaptive else super().shell(radius)


METHOD = Dlas
