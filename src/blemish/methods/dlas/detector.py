"""DLAS-Net (2025), after `docs/spec/dlas-net.md`: it scores as GLASS does (§1)."""

from blemish.methods.dlas.params import Params
from blemish.methods.glass.detector import Glass


class Dlas(Glass):
    """GLASS trained in another way; its single level and narrow smoothing are parameters (§4)."""

    name = "dlas"
    params: Params


DETECTOR = Dlas
