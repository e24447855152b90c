"""Frozen features of images that never change, computed once: in memory, or mapped from a file."""

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.methods.glass.features import FrozenFeatures, Levels
from blemish.methods.normals import Normals
from blemish.nn.whitening import Moments

BATCH = 16
GIB = 2**30


class FeatureCache:
    """The pooled levels (`PatchEmbedding.pool`) of N images, each level at the size of its grid.

    One image of 288² takes 5.0 MB in float32 with WideResNet50-2 (768 numbers at 36² and at 18²),
    where its cells would take 8.0; float16 halves that. More than `limit` bytes go to files that
    are mapped, so that the system may drop from memory what is not in use. The files lie in
    `folder` and have no name: they are gone with the process, however that ends.
    """

    def __init__(
        self,
        images: Normals,
        embed: Callable[[Tensor], Levels],
        half: bool = False,
        limit: float = math.inf,
        folder: Path | None = None,
        title: str = "features",
    ) -> None:
        """`embed` takes a batch of the N images to levels (B, C_l, h_l, w_l).

        half: keep float16, else the dtype that `embed` gives. Raises UserError where a feature
        exceeds float16, or the disk is full.
        """
        batches, count = images.batches(BATCH), -(-len(images) // BATCH)
        for number, batch in enumerate(progress(batches, title, count, "batch")):
            levels = embed(batch)
            if not number:
                self.dtype = levels[0].dtype
                self._kept = _allocate(len(images), levels, half, limit, folder)
            for kept, level in zip(self._kept, levels, strict=True):
                place = kept[number * BATCH :][: len(batch)]
                place.copy_(level.movedim(1, -1))
                if half and not place.isfinite().all():
                    raise UserError(
                        "a feature exceeds the 65,504 of float16: set the method's `cache` to "
                        "`exact` in params.yaml, or dmad's `still_epochs` to 0"
                    )

    def __len__(self) -> int:
        return len(self._kept[0])

    @property
    def bytes(self) -> int:
        """What the features take, in memory or on disk."""
        return sum(kept.nbytes for kept in self._kept)

    def rows(self, rows: Tensor | slice, device: torch.device | str = "cpu") -> Levels:
        """The levels of some images in the dtype that they were computed in, channels last."""
        return [kept[rows].to(device).to(self.dtype).movedim(-1, 1) for kept in self._kept]

    def batches(self) -> Iterator[Levels]:
        """All images, in order, a few at a time, on the CPU."""
        for start in range(0, len(self), BATCH):
            yield self.rows(slice(start, start + BATCH))

    def mean(self) -> Levels:
        """The mean image's levels, (1, C_l, h_l, w_l) each; summed in float64."""
        sums = [torch.zeros(kept.shape[1:], dtype=torch.float64) for kept in self._kept]
        for levels in self.batches():
            for total, level in zip(sums, levels, strict=True):
                total += level.double().sum(dim=0).movedim(0, -1)
        return [(total / len(self)).to(self.dtype).movedim(-1, 0)[None] for total in sums]


def embed_all(
    features: FrozenFeatures,
    images: Normals,
    title: str,
    half: bool = False,
    limit: float = math.inf,
    folder: Path | None = None,
) -> FeatureCache:
    """The levels of normals, in full precision; `features` learn their scale.

    half, limit, folder: as of `FeatureCache`.
    """

    def embed(batch: Tensor) -> Levels:
        levels: Levels = features(batch.to(features.mean.device).float() / 255)
        return levels

    cache = FeatureCache(images, embed, half, limit, folder, title)
    if features.whitening is not None:
        features.whitening.learn(_moments(features, cache))
    elif features.standardise:
        _learn_scale(features, cache)
    return cache


def _moments(features: FrozenFeatures, cache: FeatureCache) -> Moments:
    """Of all cells, as they are."""
    device = features.mean.device
    moments = Moments(len(features.mean), device)
    for levels in cache.batches():
        on_device = [level.to(device) for level in levels]
        moments.add(features.embedding.assemble(on_device).flatten(0, 2))
    return moments


def _learn_scale(features: FrozenFeatures, cache: FeatureCache) -> None:
    """Mean and standard deviation of each feature over all cells."""
    first = second = torch.zeros((), dtype=torch.float64)
    count = 0
    for levels in cache.batches():
        on_device = [level.to(features.mean.device) for level in levels]
        cells = features.embedding.assemble(on_device).flatten(0, 2).double().cpu()
        first, second = first + cells.sum(dim=0), second + cells.square().sum(dim=0)
        count += len(cells)
    mean = first / count
    variance = (second - count * mean.square()) / (count - 1)
    features.mean.copy_(mean)
    features.std.copy_(variance.clamp(min=0).sqrt().clamp(min=1e-6))


def _allocate(
    images: int, levels: Levels, half: bool, limit: float, folder: Path | None
) -> list[Tensor]:
    """Room for each level of all images, (N, h_l, w_l, C_l): products want channels last."""
    shapes = [(images, *level.shape[2:], level.shape[1]) for level in levels]
    dtype = torch.float16 if half else levels[0].dtype
    if sum(map(math.prod, shapes)) * dtype.itemsize <= limit:
        return [torch.empty(shape, dtype=dtype) for shape in shapes]
    return [_mapped(shape, dtype, folder) for shape in shapes]


def _mapped(shape: tuple[int, ...], dtype: torch.dtype, folder: Path | None) -> Tensor:
    """A tensor in a file that is deleted at once: the mapping keeps it."""
    count = math.prod(shape)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:  # a full disk is an error here, not a signal later
            os.posix_fallocate(file.fileno(), 0, count * dtype.itemsize)
        except OSError as error:
            raise UserError(
                f"{Path(file.name).parent}: the cached features cannot be written "
                f"({error.strerror}): free {count * dtype.itemsize / GIB:.1f} GiB, or set the "
                "method's `cache` to `float16` in params.yaml"
            ) from None
        return torch.from_file(file.name, shared=True, size=count, dtype=dtype).view(shape)
