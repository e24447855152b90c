"""Predictions of files, one after the other: none stays in memory."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.images.framing import Size
from blemish.images.reading import read_image
from blemish.images.seen_zones import SeenZones
from blemish.predict.in_order import in_order
from blemish.predict.inputs import Source
from blemish.predict.trained import TrainedDetector
from blemish.predict.verdict import Verdict

AHEAD = 1  # images more than there are threads that are in work or done, but not yet written;
AHEAD_BYTES = 1 << 26  # none where they are as large as this


@dataclass(frozen=True)
class Prediction:
    """The verdict on an image (H, W, 3)."""

    source: Source
    image: NDArray[np.uint8]
    verdict: Verdict

    @property
    def size(self) -> Size:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]


ZonesOf = Callable[[str, Size], SeenZones | None]


@dataclass(frozen=True)
class Unreadable:
    """An image that was skipped; `reason` names it."""

    source: Source
    reason: str


def predict_each(
    detector: TrainedDetector, sources: Sequence[Source], zones_of: ZonesOf | None = None
) -> Generator[Prediction | Unreadable, None, None]:
    """A result for each source, in order; zones_of: the zones of an image by its name and size, a
    UserError there leaves it out.

    Raises:
        UserError: the model gives NaN or infinity.
    """

    def predict(source: Source) -> Prediction | Unreadable:
        read = _read(detector, zones_of, source)
        if isinstance(read, Unreadable):
            return read
        image, zones = read
        return Prediction(source, image, detector.judge(image, zones, str(source.path)))

    threads = detector.threads
    return in_order(sources, predict, threads, threads - 1 + AHEAD, _is_large)


def _is_large(result: Prediction | Unreadable) -> bool:
    return isinstance(result, Prediction) and result.image.nbytes >= AHEAD_BYTES


def _read(
    detector: TrainedDetector, zones_of: ZonesOf | None, source: Source
) -> tuple[NDArray[np.uint8], SeenZones | None] | Unreadable:
    try:
        image = read_image(source.path, detector.levels)
        name = source.name.with_suffix("").as_posix()
        zones = zones_of(name, (image.shape[0], image.shape[1])) if zones_of else None
        return image, zones
    except UserError as error:
        return Unreadable(source, str(error))
    except Exception as error:  # decoders of damaged files raise anything; the others must go on
        kind = type(error).__name__
        return Unreadable(source, f"{source.path}: not a whole image ({kind}: {error})")
