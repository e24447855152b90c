"""The stream of predictions: read ahead, score one image at a time, keep none."""

from collections import deque
from collections.abc import Iterator, Sequence
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
from blemish.images.reading import read_image
from blemish.methods.detector import AnyDetector, score_each
from blemish.predict.regions import Region, find_regions
from blemish.predict.sources import Source

AHEAD = 3  # images that are read while one is scored: they may be large


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
    method: AnyDetector, sources: Sequence[Source], rules: Rules
) -> Iterator[Prediction | Unreadable]:
    """A result for each source, in order.

    Raises:
        UserError: the model gives NaN or infinity.
    """
    cv2.setNumThreads(1)  # OpenCV's own threads would fight with ours
    with ThreadPoolExecutor(AHEAD) as pool:
        for source, read in zip(sources, _ahead(pool, sources, method.framing), strict=True):
            if isinstance(read, Unreadable):
                yield read
            else:
                yield _judged(method, source, *read, rules)


Framed = tuple[NDArray[np.uint8], Tensor]


def _ahead(
    pool: ThreadPoolExecutor, sources: Sequence[Source], framing: Framing
) -> Iterator[Framed | Unreadable]:
    read = partial(_read, framing)
    coming = iter(sources)
    running: deque[Future[Framed | Unreadable]] = deque(
        pool.submit(read, source) for source in islice(coming, AHEAD)
    )
    while running:
        found = running.popleft().result()
        running.extend(pool.submit(read, source) for source in islice(coming, 1))
        yield found


def _read(framing: Framing, source: Source) -> Framed | Unreadable:
    try:
        image = read_image(source.path)
        return image, torch.from_numpy(framing.to_model(image))
    except UserError as error:
        return Unreadable(source, str(error))
    except Exception as error:  # decoders of damaged files raise anything; the others must go on
        kind = type(error).__name__
        return Unreadable(source, f"{source.path}: not a whole image ({kind}: {error})")


def _judged(
    method: AnyDetector, source: Source, image: NDArray[np.uint8], framed: Tensor, rules: Rules
) -> Prediction:
    ((small, score),) = score_each(method, [framed])
    if not (np.isfinite(score) and np.isfinite(small).all()):
        raise UserError(f"{source.path}: the model gives NaN or infinity: train it again")
    anomaly_map = method.framing.to_original(small, (image.shape[0], image.shape[1]))
    regions = find_regions(anomaly_map, rules.map_threshold, rules.min_area, rules.tolerance)
    return Prediction(source, image, anomaly_map, score, score > rules.threshold, regions)
