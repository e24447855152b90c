"""`blemish clean`: remove what killed runs left behind, and nothing that a result rests on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from blemish.core.files import unfinished
from blemish.methods.checkpoint import CHECKPOINTS
from blemish.run import clone
from blemish.run.engine import LOGS
from blemish.run.runner import dvc_lines

MADE = ("data", "models", "results", "metrics", "plots", "report")  # where stages write


def clean(root: Path) -> Iterator[str]:
    """Remove checkpoints, logs and unfinished files of processes that are gone; say what went.

    Of a cluster's runs: the clones on this machine whose processes are gone, and the checkpoints in
    a shared cache.
    """
    left = [root / CHECKPOINTS, root / LOGS, *clone.abandoned()]
    left += [root / cache / clone.SHARED for cache in dvc_lines("cache", "dir", folder=root)]
    left += [path for folder in MADE for path in unfinished(root / folder)]
    found = [path for path in left if path.exists()]
    for path in found:
        size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield f"removed {path} ({size / 2**20:.1f} MiB)"
    if not found:
        yield "nothing to remove"
