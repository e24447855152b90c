"""Work on one item after the other, several at once, with the results in the items' order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    threads: int,
    ahead: int,
    is_large: Callable[[Result], bool] = lambda _: False,
) -> Generator[Result, None, None]:
    """`work(item)` of each item, computed in `threads` threads, at most `ahead` beyond the one that
    is asked for: results are taken no faster than they are used, however many items there are.

    is_large: of a result: nothing is begun before it is used. What `work` raises is raised here.
    """
    coming = iter(items)
    running: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)

    def submit(count: int) -> None:
        running.extend(pool.submit(work, item) for item in islice(coming, max(0, count)))

    try:
        submit(1)
        while running:
            result = running.popleft().result()
            submit(0 if is_large(result) else ahead - len(running))
            yield result
            submit(1 - len(running))
    finally:  # who stops early does not wait for what nobody asked for
        pool.shutdown(cancel_futures=True)
