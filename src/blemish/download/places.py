"""The places where an archive may be: the mirror, the user's downloads, public URLs."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from .archive import BY_HAND, DOWNLOADS, Archive

TREES = DOWNLOADS / "unpacked"


def availability(archives: Sequence[Archive]) -> str:
    """ "ready" if one of `archives` is at hand, else "downloadable", else "by hand".

    Asks no server and reads no archive, so a damaged file counts as ready until it is used.
    """
    if not archives or any(_is_at_hand(archive) for archive in archives):
        return "ready"
    return "downloadable" if any(urls(archive) for archive in archives) else "by hand"


def local_file(archive: Archive) -> Path | None:
    """The archive in the mirror folder, else in `data/downloads`, whatever it holds."""
    return next((p for p in _local_paths(archive.file) if p.is_file()), None)


def local_tree(archive: Archive) -> Path | None:
    """The folder that a person has unpacked the archive to, if it is not empty."""
    return next((p for p in _local_paths(archive.stem) if p.is_dir() and any(p.iterdir())), None)


def unpacked_tree(archive: Archive, digits: str = "") -> Path:
    """Where the unpacked archive is kept; `digits` of its SHA-256 if it has no checksum."""
    digits = digits or archive.checksum.partition(":")[2]
    return TREES / f"{archive.stem}-{digits[:12]}"


def urls(archive: Archive) -> list[str]:
    """Where it can be downloaded: from the mirror first, then where it is public."""
    mirror = _mirror()
    mirrored = [f"{mirror.rstrip('/')}/{quote(archive.file)}"] if _is_url(mirror) else []
    return [*mirrored, *archive.urls]


def local_places() -> list[str]:
    """The folders that are looked into, as an error line names them."""
    mirror = _mirror()
    mirrors = [f"BLEMISH_MIRROR {mirror}"] if mirror and not _is_url(mirror) else []
    return [*mirrors, str(DOWNLOADS)]


def _is_at_hand(archive: Archive) -> bool:
    if local_file(archive) and not archive.file.lower().endswith(BY_HAND):
        return True
    if local_tree(archive):
        return True
    return bool(archive.checksum) and unpacked_tree(archive).is_dir()


def _local_paths(name: str) -> Iterator[Path]:
    mirror = _mirror()
    if mirror and not _is_url(mirror):
        yield Path(mirror) / name
    yield DOWNLOADS / name


def _mirror() -> str:
    return os.environ.get("BLEMISH_MIRROR", "")


def _is_url(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))
