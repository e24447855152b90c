"""Room on the disk, and one process at a time."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from blemish.core.errors import UserError

from .archive import DOWNLOADS

SPARE = 200 * 10**6  # bytes that stay free for everything else on the disk


def require_free(folder: Path, size: int, what: str) -> None:
    """Raise UserError if `size` bytes more would fill the disk under `folder`."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise UserError(
            f"{what} needs {size / 1e9:,.2f} GB in {folder}, but {max(0, free - SPARE) / 1e9:,.2f} "
            "GB are free: make room, or make data/downloads a link to a larger disk"
        )


@contextmanager
def locked(file: str) -> Iterator[None]:
    """Let only one process at a time fetch or unpack the archive of this name."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    lock = FileLock(DOWNLOADS / f".{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{file}: waiting for another process that works on it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
