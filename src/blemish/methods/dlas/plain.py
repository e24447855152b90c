"""DLAS-Net word for word after `docs/spec/dlas-net.md`: what differs from GLASS's plain form.

As that one it is for tests and benchmarks; the program never imports it.
"""

from torch import Tensor

from blemish.methods.dlas.params import Params
from blemish.methods.glass import plain


class Plain(plain.Plain):
    """GLASS's with another step of the ascent and another projection (§3)."""

    def __init__(self, p: Params) -> None:
        super().__init__(p)
        self.gain, self.shell = p.ascent_gain, p.shell

    def move(self, gradient: Tensor) -> Tensor:
        """A step is `ascent_length` · (1 + ‖∇‖) long."""
        length: Tensor = gradient.norm(dim=1, keepdim=True)
        return (1 + self.gain * length) * super().move(gradient)

    def wanted(self, lengths: Tensor, r: Tensor | None) -> Tensor:
        """Lengths in [0.8 R, 1.2 R], with R = mean + std / 2 of them all, in [0.5, 1]; r is unused.

        `shell: band` is GLASS's projection.
        """
        if self.shell == "band":
            return super().wanted(lengths, r)
        around = (lengths.mean() + 0.5 * lengths.std()).clamp(0.5, 1.0)
        return plain.clip(lengths, 0.8 * around, 1.2 * around)
