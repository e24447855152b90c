"""Cells of normal images and their synthetic twins, embedded once and seen in many steps (ours).

Published GLASS draws and embeds new synthetic images for each step and learns from all their cells.
On a CPU most of that time goes into cells that say the same. A pool holds the cells of some images;
a step takes a few of them at random, and after each epoch a share of the images is drawn anew.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

STREAM = 17  # of the random numbers that choose images

# Rows of images and an epoch → cells of the normals and of their twins (B, h, w, C), and which of
# these are anomalous (B, h, w).
Drawn = tuple[Tensor, Tensor, Tensor]
Draw = Callable[[Tensor, int], Drawn]


class Rows(NamedTuple):
    """N cells of normals (N, C), the same cells of their twins (N, C), which of these are
    anomalous (N,)."""

    normal: Tensor
    synthetic: Tensor
    anomalous: Tensor


class Pool:
    """`size` images, a share `renewed` of them other ones after each epoch.

    What an image is, is a function of the seed and of the epoch in which it came: a training that
    goes on fills the pool as it was.
    """

    def __init__(self, size: int, renewed: float, images: int, seed: int, draw: Draw) -> None:
        self._size, self._images, self._seed, self._draw = size, images, seed, draw
        self._each = math.ceil(size * renewed)
        self._came = np.full(size, -1)  # the epoch in which each image came
        self._cells: list[Tensor] = []

    def bring_to(self, epoch: int, batch: int) -> None:
        """Make it what it is in an epoch, `batch` images at a time."""
        wanted = self.epochs_of(epoch)
        for came in np.unique(wanted[wanted != self._came]).tolist():
            places = np.flatnonzero((wanted == came) & (self._came != came))
            rows = torch.from_numpy(self.rows_of(came)[places])
            for start in range(0, len(rows), batch):
                self._put(
                    places[start : start + batch], self._draw(rows[start : start + batch], came)
                )
        self._came = wanted

    def epochs_of(self, epoch: int) -> np.ndarray:
        """The epoch in which each image of an epoch's pool came, (size,)."""
        came = np.zeros(self._size, dtype=np.int64)
        for number in range(1, epoch + 1):
            start = (number - 1) * self._each
            came[np.arange(start, start + self._each) % self._size] = number
        return came

    def rows_of(self, epoch: int) -> np.ndarray:
        """Which image each place would get in an epoch, (size,): all come equally often."""
        random = np.random.default_rng([self._seed, STREAM, epoch])
        rounds = -(-self._size // self._images)
        return np.concatenate([random.permutation(self._images) for _ in range(rounds)])[
            : self._size
        ]

    def _put(self, places: np.ndarray, drawn: Drawn) -> None:
        if not self._cells:
            self._cells = [part.new_empty(self._size, *part.shape[1:]) for part in drawn]
        for kept, part in zip(self._cells, drawn, strict=True):
            kept[torch.from_numpy(places)] = part

    def sample(self, count: int, generator: torch.Generator) -> Rows:
        """`count` cells at random."""
        normal, synthetic, anomalous = (part.flatten(0, 2) for part in self._cells)
        chosen = torch.randint(
            len(anomalous), (count,), generator=generator, device=generator.device
        )
        return Rows(normal[chosen], synthetic[chosen], anomalous[chosen])
