"""`dlas_lcd`: DLAS-Net for weak display defects, ours (`docs/spec/dlas-net.md` §8.2)."""

from blemish.methods.dlas_lcd.params import Params
from blemish.methods.glass.detector import Glass


class DlasLcd(Glass):
    """Scores as GLASS does."""

    name = "dlas_lcd"
    params: Params

    def author_protocol(self, unit: str) -> None:
        """There is none: nothing is published."""


DETECTOR = DlasLcd
