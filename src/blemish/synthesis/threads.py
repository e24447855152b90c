"""Work on the images of a batch in parallel: a few threads that stay."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def in_threads(work: Callable[[int], None], count: int) -> None:
    """work(0) … work(count − 1), on as many threads as PyTorch's, the calling one among them.

    For work that mostly leaves Python's lock, as NumPy, OpenCV and Pillow do. Must not be nested.
    Raises what the work raises.
    """
    numbers = iter(range(count))  # whoever is free takes the next

    def drain() -> None:
        for number in numbers:
            work(number)

    helpers = min(torch.get_num_threads(), count) - 1
    started = [_pool(os.getpid(), helpers).submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        for future in started:
            future.result()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads by process: a forked child has none of its parent's."""
    return ThreadPoolExecutor(threads, f"synthesis-{process}")
