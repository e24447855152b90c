"""Where DVC 3.67 leaves something half-done when it is killed: found and mended from outside.

What is taken away here is not lost: DVC restores it from its run cache. `tests/run/test_mending.py`
shows each of these weaknesses on the installed DVC and fails when one is gone.
"""

import json
import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from blemish.core.files import finished_file

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
ENTRY = re.compile(rb"^  \S.*:$", re.MULTILINE)  # where a stage begins in dvc.lock


def mend(cache: Path) -> None:
    """Make whole what a killed DVC may have left; for when no other DVC writes.

    cache: DVC's cache folder.
    """
    mend_lock_file()
    mend_rwlock()
    remove_empty_runs(cache)


def mend_lock_file(lock: Path = LOCK) -> None:
    """Cut a dvc.lock that was being written back to its last whole stage.

    DVC truncates the file and writes it anew. The last stage of what is left may lack its end.
    """
    content = lock.read_bytes() if lock.exists() else b""
    if not content or _is_whole(content):
        return
    starts = [match.start() for match in ENTRY.finditer(content)]
    while starts and not _is_whole(content := content[: starts.pop()]):
        pass
    if not starts:
        lock.unlink()
        return
    with finished_file(lock) as temporary:
        temporary.write_bytes(content)


def _is_whole(content: bytes) -> bool:
    """Whether each stage has what DVC writes last, its outputs, and the file ends with a line."""
    try:
        stages = YAML(typ="safe").load(content)["stages"].values()
    except (YAMLError, TypeError, KeyError, AttributeError, ValueError):
        return False
    return content.endswith(b"\n") and all(isinstance(s, dict) and "cmd" in s for s in stages)


def mend_rwlock(rwlock: Path = RWLOCK) -> None:
    """Remove a broken list of the paths in use: it would stop every DVC from then on."""
    try:
        json.loads(rwlock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        rwlock.unlink(missing_ok=True)


def remove_empty_runs(cache: Path) -> None:
    """Remove run-cache folders without an entry: DVC fails on one for ever with a TypeError."""
    for folder in cache.glob("runs/*/*"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
