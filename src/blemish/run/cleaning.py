"""`blemish clean`: remove what killed runs left behind, and nothing that a result rests on."""

from collections.abc import Iterator
from pathlib import Path

from blemish.core.files import unfinished
from blemish.run import node
from blemish.run.children import LOGS, ask

MADE = ("data", "models", "results", "metrics", "plots", "report")  # where stages write
CHECKPOINTS = "checkpoints"  # as in `blemish.methods.checkpoint`, which would import PyTorch


def clean(root: Path) -> Iterator[str]:
    """Remove checkpoints, logs and unfinished files of processes that are gone; say what went.

    Of a cluster's runs: what lies on this machine as one of its nodes, and the checkpoints in a
    shared cache.
    """
    shared = Path(ask("cache_folder")) / node.SHARED_CHECKPOINTS
    left = [root / CHECKPOINTS, root / LOGS, *node.abandoned(), shared]
    left += [path for folder in MADE for path in unfinished(root / folder)]
    present = [path for path in left if path.exists()]
    for path in present:
        size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        node.remove(path)
        yield f"removed {path} ({size / 2**20:.1f} MiB)"
    if not present:
        yield "nothing to remove"
