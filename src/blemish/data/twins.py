"""Leak guard: images that show the same thing, so that none is trained on and tested at once.

Industrial images of one product look alike; a hash of what they look like would call them all
equal. So what the images of a unit have in common is taken away first, and fine detail compared.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128  # pixels a side of the thumbnail that is compared
DETAIL = 1.5  # pixels of the thumbnail; coarser structure is shading and pose
LENGTH = 1024  # numbers of a signature: correlations near 0.95 keep an error of about 0.003
ALIKE = 0.95  # correlation of twins. JPEG at quality 60, half size, noise of 4 grey levels: above
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
    """Pairs (i, j, correlation) with i < j of images that show the same: equal digests (1.0), or
    detail that correlates at least `ALIKE` after the mean of all images is taken away.

    Compares all pairs, LENGTH multiplications each, in blocks of constant size.
    """
    first: dict[str, int] = {}
    for position, digest in enumerate(digests):
        if first.setdefault(digest, position) != position:
            yield first[digest], position, 1.0
    if not signatures:
        return
    detail = np.stack(list(signatures))
    detail -= detail.mean(axis=0)
    norms = np.linalg.norm(detail, axis=1, keepdims=True)
    detail /= np.maximum(norms, 1e-6)
    for top in range(0, len(detail), BLOCK):
        for left in range(top, len(detail), BLOCK):
            alike = detail[top : top + BLOCK] @ detail[left : left + BLOCK].T
            rows, columns = np.nonzero(alike >= ALIKE)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                one, other = top + row, left + column
                if one < other and digests[one] != digests[other]:
                    yield one, other, float(alike[row, column])


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
    for one, other in links + [(one, other) for one, other, _ in pairs]:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    twinned = {root(one) for one, _, _ in pairs}
    return [
        (groups[root(at)] or f"twins-{root(at):05d}") if root(at) in twinned else name
        for at, name in enumerate(groups)
    ]
