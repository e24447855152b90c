"""Files that are either whole or absent, and links that share bytes."""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def finished_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `target`; rename it to `target` when the block ends well.

    What was at `target` is replaced. If the block raises, nothing changes at `target`; if the
    process is killed, the sibling stays behind under a name no stage reads, and the next run of
    the same stage removes it.
    """
    temporary = _unfinished(target)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def finished_file(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of the file `target`; rename it when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _unfinished(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _unfinished(target: Path) -> Path:
    """A name beside `target` that no other process uses; what dead processes left is removed.

    A stage whose DVC was killed may live on while the next run has begun: neither may write into
    the other's files.
    """
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.unfinished"):
        if not process_is_alive(left.suffixes[-2].removeprefix(".")):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    return target.with_name(f".{target.name}.{os.getpid()}.unfinished")


def unfinished(folder: Path) -> list[Path]:
    """What dead processes left below a folder, at any depth."""
    leftovers = folder.rglob(".*.unfinished")
    return [path for path in leftovers if not process_is_alive(path.suffixes[-2].removeprefix("."))]


def process_is_alive(process: str) -> bool:
    """Whether a process of this number runs on this machine; our own never counts."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return int(process) != os.getpid()


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def link(source: Path, target: Path) -> None:
    """Make `target` the same bytes as `source`: a hard link where possible, else a copy.

    Only for files inside the workspace: DVC makes its files read-only, and a hard link to a
    user's own file would make that one read-only too.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
