"""Scoring the images of a manifest with a trained method."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from blemish.core.progress import progress
from blemish.evaluation.channel_files import CONFIG, read_defects
from blemish.evaluation.map_storage import map_storage
from blemish.evaluation.predictions import Mask, Predictions
from blemish.images.framing import Framing
from blemish.images.manifest import Manifest
from blemish.images.store import IN_MEMORY, ImageStore
from blemish.methods.detector import AnyDetector, Components, score_each

BLOCK = 1 << 26  # bytes of images in memory at a time


def score_images(
    method: AnyDetector,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    scratch: Path | None = None,
    store: ImageStore = IN_MEMORY,
) -> Predictions:
    """Score the images of some rows of a manifest; many large maps wait in a file in `scratch`."""
    images = _images(manifest, rows, method.framing, title, store)
    scored = ((one_map[None], np.array([score])) for one_map, score in score_each(method, images))
    (predictions,) = _collect(scored, 1, method.framing, manifest, rows, title, scratch)
    return predictions


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
    """A mask (H, W) as the network sees its image, (size, size).

    Pixels are defect where more than `above` / 255 of them is; by default half.
    """
    picture = np.repeat(mask[:, :, None], 3, axis=2) * np.uint8(255)
    return np.asarray(framing.to_model(picture)[0] > above)


def _collect(
    scored: Iterable[Components],
    components: int,
    framing: Framing,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    scratch: Path | None,
) -> list[Predictions]:
    maps = [map_storage(len(rows), framing.size, scratch) for _ in range(components)]
    scores: NDArray[np.float64] = np.empty((components, len(rows)))
    shown = progress(scored, f"scoring {title}", len(rows), "image")
    for number, (image_maps, image_scores) in enumerate(shown):
        for storage, one_map in zip(maps, image_maps, strict=True):
            storage.append(one_map)
        scores[:, number] = image_scores
    views = (framing.to_original, manifest.root, partial(mask_to_model, framing))
    channels = "channels" in rows and rows["channels"].notna().any()
    defects = read_defects(manifest.root / CONFIG) if channels else {}
    return [Predictions(rows, scores[k], maps[k], *views, defects) for k in range(components)]


def _images(
    manifest: Manifest, rows: pd.DataFrame, framing: Framing, title: str, store: ImageStore
) -> Iterator[Tensor]:
    """Each image, uint8 (3, size, size). They are read in blocks: a test set may exceed memory."""
    block = max(1, BLOCK // (3 * framing.size**2))
    for start in range(0, len(rows), block):
        part = rows.iloc[start : start + block]
        yield from store.images(manifest.root, part, framing, f"reading {title}")
