"""`dlas_lcd`: DLAS-Net for weak display defects, ours (`docs/spec/dlas-net.md` §8.2)."""

from torch import Tensor

from blemish.methods.dlas_lcd.params import Params
from blemish.methods.glass.detector import Glass
from blemish.nn.smoothing import top_cells_score


class DlasLcd(Glass):
    """Scores as GLASS does, but for the image score."""

    name = "dlas_lcd"
    params: Params

    def author_protocol(self, unit: str) -> None:
        """There is none: nothing is published."""

    def image_scores(self, cells: Tensor) -> Tensor:
        """The mean of the largest cell scores; the largest alone as published."""
        return top_cells_score(cells, self.params.top_cells)


DETECTOR = DlasLcd
