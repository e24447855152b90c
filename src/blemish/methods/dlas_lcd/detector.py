"""`dlas_lcd`: DLAS-Net for weak display defects, ours (`docs/spec/dlas-net.md` §8.2)."""

from torch import Tensor

from blemish.methods.detector import where_judged
from blemish.methods.dlas_lcd.params import Params
from blemish.methods.glass.detector import Glass
from blemish.nn.smoothing import largest, mean_of_finite


class DlasLcd(Glass):
    """Scores as GLASS does, but for the image score."""

    name = "dlas_lcd"
    params: Params

    def author_protocol(self, unit: str) -> None:
        """There is none: nothing is published."""

    def peaks(self, cells: Tensor, judged: Tensor | None = None) -> Tensor:
        """The largest cell scores; the largest alone as published."""
        return largest(where_judged(cells, judged).flatten(1), self.params.top_cells)

    def combine(self, peaks: Tensor) -> Tensor:
        """Their mean."""
        return mean_of_finite(largest(peaks.flatten(1), self.params.top_cells))


DETECTOR = DlasLcd
