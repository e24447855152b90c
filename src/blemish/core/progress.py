"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def byte_progress(title: str, total: int, done: int = 0) -> Iterator[Callable[[int], object]]:
    """Yield a function to be called with each number of bytes that was moved.

    Shows bytes, speed and time left; `total` is 0 where unknown, `done` is there from before.
    """
    if sys.stderr.isatty():
        bar = tqdm(
            desc=title, total=total or None, initial=done, unit="B", unit_scale=True, leave=False
        )
        with bar:
            yield bar.update
        return
    start = shown = time.monotonic()
    moved = 0

    def advance(count: int) -> None:
        nonlocal shown, moved
        moved += count
        now = time.monotonic()
        if now - shown >= LINE_EVERY:
            shown = now
            print(_moved(title, total, done, moved, now - start), file=sys.stderr)

    yield advance


def _moved(title: str, total: int, done: int, moved: int, seconds: float) -> str:
    speed = moved / seconds
    line = f"{title}: {(done + moved) / 1e6:,.0f} MB"
    if total:
        line += f" of {total / 1e6:,.0f} MB"
    line += f", {speed / 1e6:.1f} MB/s"
    return f"{line}, {(total - done - moved) / speed:.0f} s left" if total and speed else line
