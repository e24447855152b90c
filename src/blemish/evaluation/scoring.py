"""Scoring the images of a manifest with a trained method."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.core.progress import progress
from blemish.evaluation.channel_files import CONFIG, read_defects
from blemish.evaluation.map_storage import map_storage
from blemish.evaluation.predictions import Mask, Predictions
from blemish.images.framing import Framing, sizes_of
from blemish.images.manifest import Manifest
from blemish.images.reading import read_image
from blemish.images.seen_zones import ZoneReader
from blemish.images.store import IN_MEMORY, ImageStore, decoded
from blemish.methods.detector import AnyDetector, Components
from blemish.methods.scoring import score_each
from blemish.methods.zone_rules import zone_scores

Change = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
BLOCK = 1 << 26  # bytes of images in memory at a time


def score_images(
    method: AnyDetector,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    scratch: Path | None = None,
    store: ImageStore = IN_MEMORY,
    change: Change | None = None,
) -> Predictions:
    """Score the images of some rows of a manifest; many large maps wait in a file in `scratch`.

    Where the unit has zones, the image scores are of what is judged, and each zone has its own.
    change: what happens to each image and its number before it is framed.
    """
    names = manifest.facts.zones
    images = (
        _images(manifest, rows, method.framing, title, store)
        if change is None
        else _changed_images(manifest, rows, method.framing, change)
    )
    reader = ZoneReader(manifest.root, names, method.framing)
    each = score_each(method, images, sizes_of(rows), reader.each(rows))
    by_zone: NDArray[np.float64] = np.full((len(rows), len(names) + 1), -np.inf)

    def scored() -> Iterator[Components]:
        of_images = zip(each, reader.each(rows), by_zone, strict=True)
        for (anomaly_map, scores), zones, target in of_images:
            target[:] = zone_scores(scores, zones, len(target))
            yield anomaly_map[None], scores[:1]

    (found,) = _collect(scored(), 1, method.framing, manifest, rows, title, scratch)
    return replace(found, zone_scores=by_zone) if names else found


def score_as_published(
    method: AnyDetector,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    components: int,
    scratch: Path | None = None,
    store: ImageStore = IN_MEMORY,
) -> list[Predictions]:
    """As `score_images`, but as the method's authors score a test set: one for each component."""
    images = _images(manifest, rows, method.framing, title, store)
    scored = method.score_published(images)
    return _collect(scored, components, method.framing, manifest, rows, title, scratch)


def mask_to_model(
    framing: Framing,
    mask: Mask,
    size: tuple[int, int],  # noqa: ARG001 the framing knows it
    above: int = 127,
) -> Mask:
    """A mask (H, W) at the size of its image's map, see `Framing.mask_to_model`."""
    return framing.mask_to_model(mask, above)


def _collect(
    scored: Iterable[Components],
    components: int,
    framing: Framing,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    scratch: Path | None,
) -> list[Predictions]:
    pixels = sum(int(np.prod(framing.place(*size).frame)) for size in sizes_of(rows))
    maps = [map_storage(pixels, scratch) for _ in range(components)]
    scores: NDArray[np.float64] = np.empty((components, len(rows)))
    shown = progress(scored, f"scoring {title}", len(rows), "image")
    for number, (image_maps, image_scores) in enumerate(shown):
        for storage, one_map in zip(maps, image_maps, strict=True):
            storage.append(one_map)
        scores[:, number] = image_scores
    views = (framing.to_original, manifest.root, partial(mask_to_model, framing))
    channels = "channels" in rows and rows["channels"].notna().any()
    defects = read_defects(manifest.root / CONFIG) if channels else {}
    zones = manifest.facts.zones
    return [
        Predictions(rows, scores[k], maps[k], *views, defects, zones) for k in range(components)
    ]


def _changed_images(
    manifest: Manifest, rows: pd.DataFrame, framing: Framing, change: Change
) -> Iterator[Tensor]:
    for number, image in enumerate(rows["image"]):
        picture = framing.to_model(change(read_image(manifest.root / image), number))
        yield torch.from_numpy(picture)


def _images(
    manifest: Manifest, rows: pd.DataFrame, framing: Framing, title: str, store: ImageStore
) -> Iterator[Tensor]:
    """Each framed picture, uint8 (3, h, w). They are read in blocks: a test set may exceed memory.

    Whole pictures for windows are as large as their images: no store keeps them.
    """
    if framing.resize == "tiles":
        paths = [manifest.root / image for image in rows["image"]]
        yield from map(torch.from_numpy, decoded(paths, framing))
        return
    block = max(1, BLOCK // (3 * framing.height * framing.width))
    for start in range(0, len(rows), block):
        part = rows.iloc[start : start + block]
        yield from store.images(manifest.root, part, framing, f"reading {title}")
