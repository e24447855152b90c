"""Untrained models for benchmarks, of square images that are seen at once."""

from blemish.methods.detector import AnyDetector, create
from blemish.methods.view import choose_view
from blemish.methods.view_params import ViewParams


def untrained(name: str, params: ViewParams) -> AnyDetector:
    """A new model of a method, as large as its `image_size` says."""
    size = (params.image_size, params.image_size)
    return create(name, params, 0, choose_view(params, [size]).framing)
