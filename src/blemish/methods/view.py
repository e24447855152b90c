"""How a unit's images come to a method's network: what is asked for, or what their sizes suggest.

`docs/own-size.md` says it with pictures.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from blemish.images.framing import Framing, Size
from blemish.methods.view_params import ViewParams

REDUCED = 2.4  # times that images may shrink, in length, before "auto" thinks of windows
CONTEXT = 2.0  # windows that cover the shorter side: then each still sees half of what is across
LOST = 4.5  # times beyond which too little would be left of a whole image, whatever its shape
FINEST = 3.25  # times a window's length that "auto" makes an image at most: 16 windows of a square
ALIKE = 1.02  # ratio of the sides up to which images count as squares


class View(NamedTuple):
    """A framing, and in a sentence how it came about."""

    framing: Framing
    reason: str


def choose_view(p: ViewParams, sizes: Sequence[Size]) -> View:
    """The framing for training images of these sizes.

    "auto": the median image is some times as large as the network's square, by the root of their
    areas. Beyond `REDUCED` times it is seen through windows ("tiles") where its shorter side is no
    longer than `CONTEXT` windows, and beyond `LOST` times in any case; at its own scale, or so
    reduced that it is `FINEST` times as large as a window. Otherwise, and by methods that cannot
    look through windows or do badly so, it is seen at once with its aspect ("fit").
    """
    height, width = (statistics.median(side) for side in zip(*sizes, strict=True))
    times = (height * width) ** 0.5 / p.image_size
    resize = p.resize
    if resize == "auto":
        across = min(height, width) / p.image_size <= CONTEXT
        windows = (times > REDUCED and across) or times > LOST
        resize = "tiles" if windows and p.AUTO_TILES and not p.no_tiles else "fit"
    scale = min(1.0, FINEST / times) if p.scale == "auto" else p.scale
    reason = (
        f"{'chosen' if p.resize == 'auto' else 'asked for'}: images of {width:g}×{height:g} are "
        f"{times:.1f} times as large as {p.image_size}×{p.image_size}"
    )
    return View(_framing(p, resize, scale, height / width), reason)


def _framing(p: ViewParams, resize: str, scale: float, aspect: float) -> Framing:
    size, step = p.image_size, p.step
    if resize == "tiles":
        overlap = round(p.overlap * size)
        return Framing(size, size, "tiles", scale=scale, overlap=overlap, step=step)
    if resize == "crop":
        return Framing.square(size, "crop", p.cut_off)
    if resize == "squash":
        return Framing.square(size, "squash")
    if 1 / ALIKE <= aspect <= ALIKE:
        return Framing(size, size, "fit", step=step)
    height, width = (
        max(2, round(side / step)) * step for side in (size * aspect**0.5, size / aspect**0.5)
    )
    return Framing(height, width, "fit", step=step)
