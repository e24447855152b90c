"""Untrained models for tests, framed as the training stage frames them."""

from blemish.methods.detector import AnyDetector, create
from blemish.methods.view import choose_view
from blemish.methods.view_params import ViewParams

SQUARE = [(64, 64)]  # the training images that framings are chosen for


def new(name: str, params: ViewParams, seed: int = 0) -> AnyDetector:
    """A new model of a method, for square images."""
    return create(name, params, seed, choose_view(params, SQUARE).framing)
