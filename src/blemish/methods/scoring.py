"""Images of any size, scored: seen at once, or through windows whose maps are joined.

Windows are scored one at a time, so that memory depends on a window and not on the image, of which
only the picture and its map are held.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.images.framing import Size
from blemish.images.seen_zones import SeenZones
from blemish.images.windows import Window, windows
from blemish.methods.detector import AnyDetector

Map = NDArray[np.float32]


class Scored(NamedTuple):
    """An image's anomaly map (h, w), of what the image fills of the framed picture, and its score
    in each of the Z zones that were asked for, (Z,)."""

    anomaly_map: Map
    scores: NDArray[np.float64]


def score_picture(
    detector: AnyDetector, picture: Tensor, size: Size, zones: NDArray[np.bool_] | None = None
) -> Scored:
    """Score a framed picture, uint8 (3, h, w), of an image of `size`.

    zones: (Z, h', w'), at the size of the map, what each score judges; None: one score, of all the
    image. The score of a zone that is nowhere in the image is the map's lowest value.
    """
    judged = _judged(detector, size, zones)
    anomaly_map, peaks = _through_windows(detector, picture, judged)
    scores = [_combined(detector, of_zone, anomaly_map) for of_zone in peaks]
    return Scored(detector.framing.inside(anomaly_map, size), np.array(scores))


def peaks_of(detector: AnyDetector, picture: Tensor, size: Size) -> Tensor:
    """The peaks (W, K) float64 of the windows of a framed picture, on the CPU."""
    _, (peaks,) = _through_windows(detector, picture, _judged(detector, size, None))
    return torch.stack(peaks)


def score_each(
    detector: AnyDetector,
    pictures: Iterable[Tensor],
    sizes: Iterable[Size],
    zones: Iterable[SeenZones | None] | None = None,
) -> Iterator[Scored]:
    """`score_picture` of one after the other: all maps may exceed memory.

    zones: of each image, None where it has none; then its scores are as `SeenZones.seen`.
    """
    nowhere: Iterable[SeenZones | None] = repeat(None)
    each = zip(pictures, sizes, strict=True)
    for (picture, size), of_image in zip(each, zones or nowhere, strict=False):
        yield score_picture(detector, picture, size, of_image.seen if of_image else None)


def views_of(detector: AnyDetector, picture: Tensor) -> dict[str, NDArray[np.uint8]]:
    """The pictures (h, w, 3) that explain the result of a framed picture, uint8 (3, h, w).

    Of an image that is seen through windows, those of the window with the highest score. Raises
    ValueError where a method's view has not the promised form.
    """
    _stop_training(detector)
    device = next(detector.parameters()).device
    with torch.inference_mode():
        parts = [_cut(picture, at, detector).to(device) for at in _windows_of(detector, picture)]
        scores = [float(detector.score(part)[1]) for part in parts] if len(parts) > 1 else [0.0]
        pictures = detector.views(parts[int(np.argmax(scores))])
    for caption, view in pictures.items():
        if view.dtype != torch.uint8 or view.ndim != 4 or view.shape[:2] != (1, 3):
            raise ValueError(
                f"{detector.name}: its view {caption!r} is {tuple(view.shape)} {view.dtype}, not "
                "(1, 3, h, w) uint8"
            )
    return {caption: view[0].permute(1, 2, 0).cpu().numpy() for caption, view in pictures.items()}


def _judged(
    detector: AnyDetector, size: Size, zones: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Zones (Z, h, w) of the framed picture without what the image does not fill; None: all."""
    filled = detector.framing.filled(size)
    if zones is None:
        return None if filled is None else filled[None]
    if filled is None:
        return zones
    judged = np.zeros((len(zones), *filled.shape), bool)
    for zone, target in zip(zones, judged, strict=True):
        detector.framing.inside(target, size)[:] = zone
    return judged


def _through_windows(
    detector: AnyDetector, picture: Tensor, judged: NDArray[np.bool_] | None
) -> tuple[Map, list[list[Tensor]]]:
    """The map (h, w) of a framed picture, and for each zone the peaks (K,) of each window in which
    there is something of it."""
    _stop_training(detector)
    device = next(detector.parameters()).device
    size = (picture.shape[1], picture.shape[2])
    alone = size == detector.framing.window
    whole = np.empty(0, np.float32) if alone else np.zeros(size, np.float32)
    peaks: list[list[Tensor]] = [[] for _ in range(1 if judged is None else len(judged))]
    # One at a time: convolutions choose their algorithm by the batch's size, and the last bits of
    # an image's score must not depend on its company.
    for at in _windows_of(detector, picture):
        with torch.inference_mode():
            measured = detector.measure(_cut(picture, at, detector).to(device))
            for of_zone, counted in zip(peaks, _counted(judged, at, detector), strict=True):
                if counted is None or counted.any():
                    on_device = None if counted is None else counted[None].to(device)
                    of_zone.append(detector.peaks(measured.cells, on_device)[0].cpu())
        part = measured.maps[0].cpu().numpy()
        if alone:
            whole = part
        else:
            rows, columns = at.weights
            height, width = detector.framing.window
            target = whole[at.top : at.top + height, at.left : at.left + width]
            target += part * rows[:, None] * columns
    return whole, peaks


def _stop_training(detector: AnyDetector) -> None:
    """Put a detector into evaluation mode; one that is stays as it is: what it made for scoring is
    not thrown away, and other threads may be scoring with it."""
    if any(module.training for module in detector.modules()):
        detector.eval()


def _windows_of(detector: AnyDetector, picture: Tensor) -> Iterator[Window]:
    return windows(detector.framing, (picture.shape[1], picture.shape[2]))


def _cut(picture: Tensor, at: Window, detector: AnyDetector) -> Tensor:
    """The window of a picture, (1, 3, height, width)."""
    height, width = detector.framing.window
    return picture[None, :, at.top : at.top + height, at.left : at.left + width].contiguous()


def _counted(
    judged: NDArray[np.bool_] | None, at: Window, detector: AnyDetector
) -> list[Tensor | None]:
    """For each zone which pixels (height, width) of a window count; None: all of them."""
    top, bottom, left, right = at.owned
    height, width = detector.framing.window
    if judged is None and at.owned == (0, height, 0, width):
        return [None]
    owned = torch.zeros(height, width, dtype=torch.bool)
    owned[top:bottom, left:right] = True
    if judged is None:
        return [owned]
    part = judged[:, at.top : at.top + height, at.left : at.left + width]
    return [torch.from_numpy(zone) & owned for zone in part]


def _combined(detector: AnyDetector, peaks: list[Tensor], anomaly_map: Map) -> float:
    if not peaks:
        return float(anomaly_map.min())
    return float(detector.combine(torch.stack(peaks)[None])[0])
