"""Scoring the images of a manifest with a trained method."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from blemish.core.progress import progress
from blemish.evaluation.maps import map_store
from blemish.evaluation.predictions import Mask, Predictions
from blemish.images.framing import Framing
from blemish.images.manifest import Manifest
from blemish.images.store import IN_MEMORY, ImageStore
from blemish.methods.detector import AnyDetector, Components, score_each
from blemish.metrics.channels import CONFIG, read_defects

BLOCK = 1 << 26  # bytes of images in memory at a time


def predict(
    method: AnyDetector,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    scratch: Path | None = None,
    store: ImageStore = IN_MEMORY,
) -> Predictions:
    """Score the images of some rows of a manifest; many large maps wait in a file in `scratch`."""
    images = _images(manifest, rows, method.framing, f"reading {title}", store)
    found = ((one[None], np.array([score])) for one, score in score_each(method, images))
    (only,) = _collect(found, 1, method.framing, manifest, rows, title, scratch)
    return only


def predict_published(
    method: AnyDetector,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    components: int,
    scratch: Path | None = None,
    store: ImageStore = IN_MEMORY,
) -> list[Predictions]:
    """As `predict`, but as the method's authors score a test set: one for each component."""
    images = _images(manifest, rows, method.framing, f"reading {title}", store)
    found = method.score_published(images)
    return _collect(found, components, method.framing, manifest, rows, title, scratch)


def mask_to_model(
    framing: Framing,
    mask: Mask,
    size: tuple[int, int],  # noqa: ARG001 the framing knows it
    above: int = 127,
) -> Mask:
    """A mask (H, W) as the network sees its image, (size, size).

    Pixels are defect where more than `above` / 255 of them is; by default half.
    """
    whole = np.repeat(mask[:, :, None], 3, axis=2) * np.uint8(255)
    return np.asarray(framing.to_model(whole)[0] > above)


def _collect(
    found: Iterator[Components],
    components: int,
    framing: Framing,
    manifest: Manifest,
    rows: pd.DataFrame,
    title: str,
    scratch: Path | None,
) -> list[Predictions]:
    maps = [map_store(len(rows), framing.size, scratch) for _ in range(components)]
    scores: NDArray[np.float64] = np.empty((components, len(rows)))
    shown = progress(found, f"scoring {title}", len(rows), "image")
    for number, (own_maps, own_scores) in enumerate(shown):
        for kept, one in zip(maps, own_maps, strict=True):
            kept.append(one)
        scores[:, number] = own_scores
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
        own = rows.iloc[start : start + block]
        yield from store.images(manifest.root, own, framing, title)
