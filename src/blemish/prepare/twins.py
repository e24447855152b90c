"""Leak guard: images that show the same thing, so that none is trained on and tested at once.

Industrial images of one product look alike; a hash of what they look like would call them all
equal. So what an image has in common with all images of the unit, and then with those most like
it, is taken away first, and the fine detail that is left is compared.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128  # pixels a side of the thumbnail that is compared
DETAIL = 1.5  # pixels of the thumbnail; coarser structure is shading and pose
LENGTH = 1024  # numbers of a signature
# Correlations of a pair, chosen on solar cells and magnetic tiles so that copies by JPEG at
# quality 60, at half size or with noise of 4 grey levels are found (most of them), and others of
# the same kind are not.
ALIKE = 0.9  # of the detail, without what all images share
DISTINCT = 0.6  # of what is left without what the nearest other images share
NEAREST = 10
BLOCK = 1024

Signature = NDArray[np.float32]


def signature(image: NDArray[np.uint8]) -> Signature:
    """Fine detail of an image (H, W, 3), as `LENGTH` numbers whose products estimate the
    products of all pixels (subsampled randomised cosine transform, Ailon and Chazelle 2009)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), DETAIL)
    signs, chosen = _projection()
    return np.asarray(cv2.dct(detail * signs).ravel()[chosen], np.float32)


@cache
def _projection() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(0)
    signs = random.choice(np.array([-1, 1], np.float32), size=(SIDE, SIDE))
    return signs, random.choice(SIDE * SIDE, size=LENGTH, replace=False)


def find_twins(
    signatures: Sequence[Signature], digests: Sequence[str]
) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j, likeness) with i < j of images that show the same thing.

    Equal digests have likeness 1; else it is the correlation of what is particular to the two
    images, at least `DISTINCT`. Compares all pairs, LENGTH multiplications each, in blocks of
    constant size.
    """
    positions: dict[str, int] = {}
    for position, digest in enumerate(digests):
        if positions.setdefault(digest, position) != position:
            yield positions[digest], position, 1.0
    if len(signatures) < 2:
        return
    detail = np.stack(list(signatures))
    detail -= detail.mean(axis=0)
    detail /= np.maximum(np.linalg.norm(detail, axis=1, keepdims=True), 1e-6)
    pairs, nearest = _candidates(detail)
    likeness = _distinct_likeness(detail, pairs, nearest)
    for (first, second), value in zip(pairs.tolist(), likeness.tolist(), strict=True):
        if value >= DISTINCT and digests[first] != digests[second]:
            yield first, second, min(value, 0.999)


def _candidates(
    detail: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (P, 2) whose detail is alike, and the nearest other images (N, K) of each image."""
    count = len(detail)
    kept = min(NEAREST, count - 1)
    pairs, nearest = [], np.empty((count, kept), np.int64)
    for top in range(0, count, BLOCK):
        alike = detail[top : top + BLOCK] @ detail.T
        rows = np.arange(len(alike))
        alike[rows, top + rows] = -2  # an image is not its own neighbour
        nearest[top : top + BLOCK] = np.argpartition(-alike, kept - 1, axis=1)[:, :kept]
        first, second = np.nonzero(alike >= ALIKE)
        pairs.append(np.stack([top + first, second], axis=1)[top + first < second])
    return np.concatenate(pairs), nearest


def _distinct_likeness(
    detail: NDArray[np.float32], pairs: NDArray[np.int64], nearest: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Correlation (P,) of each pair's detail without the mean of the images nearest to the two."""
    sums = np.stack([detail[others].sum(axis=0) for others in nearest])
    likeness = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), BLOCK):
        first, second = pairs[start : start + BLOCK].T
        # Neither of the two counts among the images nearest to them.
        has_second = (nearest[first] == second[:, None]).any(axis=1)[:, None]
        has_first = (nearest[second] == first[:, None]).any(axis=1)[:, None]
        shared = (
            sums[first] + sums[second] - has_second * detail[second] - has_first * detail[first]
        )
        shared /= np.maximum(2 * nearest.shape[1] - has_second - has_first, 1)
        left, right = detail[first] - shared, detail[second] - shared
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        likeness[start : start + BLOCK] = (left * right).sum(axis=1) / np.maximum(norms, 1e-9)
    return likeness


def join_groups(
    groups: Sequence[str | None], pairs: Sequence[tuple[int, int, float]]
) -> list[str | None]:
    """Groups in which the two of each pair, and all of their groups, are one.

    An image without a group and without a twin stays without; new groups are named by number.
    """
    parent = list(range(len(groups)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    named: dict[str, int] = {}
    links = [(named.setdefault(name, at), at) for at, name in enumerate(groups) if name]
    for first, second in links + [(first, second) for first, second, _ in pairs]:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    twinned = {root(first) for first, _, _ in pairs}
    return [
        (groups[root(at)] or f"twins-{root(at):05d}") if root(at) in twinned else name
        for at, name in enumerate(groups)
    ]
