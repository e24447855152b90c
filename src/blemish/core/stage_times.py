"""When stages ran, noted beside their logs: an output that holds a time would never be the same
bytes twice."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blemish.core.files import finished_file, write_json

TIMES = Path("logs/times")
SLACK = 2.0  # s by which the clock of a file system may be another


@contextmanager
def noted_times() -> Iterator[None]:
    """Note when the block, the work of a stage that DVC runs, began and ended well."""
    began = time.time()
    yield
    if stage := os.environ.get("DVC_STAGE"):
        # Outputs are what matters: where a note cannot be written, none is.
        with suppress(OSError), finished_file(_note(Path.cwd(), stage)) as file:
            write_json(file, {"began": began, "ended": time.time()})


def stage_times(root: Path, stage: str, output: Path) -> tuple[float, float] | None:
    """Beginning and end, in seconds since 1970, of the stage that wrote the file `output`.

    None where that is not known: the file comes from DVC's cache, or was made on another machine.
    """
    try:
        note = json.loads(_note(root, stage).read_text(encoding="utf-8"))
        began, ended = float(note["began"]), float(note["ended"])
        written = output.stat().st_mtime
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (began, ended) if began - SLACK <= written <= ended + SLACK else None


def _note(root: Path, stage: str) -> Path:
    return root / TIMES / f"{stage}.json"
