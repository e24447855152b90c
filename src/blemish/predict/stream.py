"""Predictions one after the other: images are read ahead, scored one at a time, and forgotten."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.core.errors import UserError
from blemish.images.framing import Framing
from blemish.images.reading import Levels, read_image
from blemish.methods.detector import AnyDetector
from blemish.methods.scoring import score_picture
from blemish.predict.inputs import Source
from blemish.predict.regions import Region, find_regions

AHEAD = 3  # images that are read while one is scored,
AHEAD_BYTES = 1 << 26  # but one where they are as large as this


@dataclass(frozen=True)
class Rules:
    """From score and map to a decision and regions; see `find_regions`."""

    threshold: float
    map_threshold: float
    min_area: int
    tolerance: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image (H, W, 3), its map (H, W) at the image's own size."""

    source: Source
    image: NDArray[np.uint8]
    anomaly_map: NDArray[np.float32]
    score: float
    alarm: bool
    regions: list[Region]
    seen: float  # share of the image that the network saw

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Unreadable:
    """An image that was skipped; `reason` names it."""

    source: Source
    reason: str


def predict_each(
    method: AnyDetector, sources: Sequence[Source], rules: Rules, levels: Levels | None = None
) -> Iterator[Prediction | Unreadable]:
    """A result for each source, in order; levels: what 16-bit images mean to the model.

    Raises:
        UserError: the model gives NaN or infinity.
    """
    cv2.setNumThreads(1)  # OpenCV's own threads would fight with ours
    with ThreadPoolExecutor(AHEAD) as pool:
        read_source = partial(_read, method.framing, levels)
        for source, read in zip(sources, _ahead(pool, sources, read_source), strict=True):
            if isinstance(read, Unreadable):
                yield read
            else:
                yield _judged(method, source, *read, rules)


Framed = tuple[NDArray[np.uint8], Tensor]


def _ahead(
    pool: ThreadPoolExecutor,
    sources: Sequence[Source],
    read: Callable[[Source], Framed | Unreadable],
) -> Iterator[Framed | Unreadable]:
    coming = iter(sources)
    running: deque[Future[Framed | Unreadable]] = deque(
        pool.submit(read, source) for source in islice(coming, 1)
    )
    while running:
        result = running.popleft().result()
        large = not isinstance(result, Unreadable) and result[0].nbytes >= AHEAD_BYTES
        missing = (1 if large else AHEAD) - len(running)
        running.extend(pool.submit(read, source) for source in islice(coming, max(0, missing)))
        yield result


def _read(framing: Framing, levels: Levels | None, source: Source) -> Framed | Unreadable:
    try:
        image = read_image(source.path, levels)
        return image, torch.from_numpy(framing.to_model(image))
    except UserError as error:
        return Unreadable(source, str(error))
    except Exception as error:  # decoders of damaged files raise anything; the others must go on
        kind = type(error).__name__
        return Unreadable(source, f"{source.path}: not a whole image ({kind}: {error})")


def _judged(
    method: AnyDetector, source: Source, image: NDArray[np.uint8], framed: Tensor, rules: Rules
) -> Prediction:
    size = (image.shape[0], image.shape[1])
    small, (score,) = score_picture(method, framed, size)
    if not (np.isfinite(score) and np.isfinite(small).all()):
        raise UserError(f"{source.path}: the model gives NaN or infinity: train it again")
    anomaly_map = method.framing.to_original(small, size)
    regions = find_regions(anomaly_map, rules.map_threshold, rules.min_area, rules.tolerance)
    seen = method.framing.seen(*size)
    alarm = bool(score > rules.threshold)
    return Prediction(source, image, anomaly_map, float(score), alarm, regions, seen)
