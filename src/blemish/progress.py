"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

LINE_EVERY = 10.0  # seconds between plain lines


def progress(items: Iterable[T], title: str, total: int, unit: str) -> Iterator[T]:
    """Yield from `items`, showing how many of `total` are done and the time left, on stderr."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=title, total=total, unit=f" {unit}", leave=False)
        return
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= LINE_EVERY and done < total:
            shown = now
            left = (now - start) / done * (total - done)
            print(f"{title}: {unit} {done} of {total}, {left:.0f} s left", file=sys.stderr)
