"""The places that are asked for an archive, in order."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from blemish.core.errors import UserError

from .archive import DOWNLOADS, Archive
from .disk import alone_with
from .partial import Partial
from .transfer import DownloadError, download
from .verify import fault, note_down

TREES = DOWNLOADS / "unpacked"


def obtain(archives: Sequence[Archive]) -> Path:
    """The path of the first of `archives`, alternatives to each other, that can be had, verified.

    Raises UserError naming the places that were asked and why each has it not, or the local file
    that is damaged, or the disk that is too small.
    """
    failures: dict[str, str] = {}
    for archive in archives:
        path = had(archive, failures)
        if path is not None:
            return path
    raise not_had(archives, failures)


def had(archive: Archive, failures: dict[str, str]) -> Path | None:
    """The verified file of one archive, downloaded if need be; None notes in `failures` why not."""
    path = _verified(local_file(archive), archive)
    if path is not None:
        return path
    failures.update(_empty_places())
    urls = _urls(archive)
    if not urls:
        return None
    with alone_with(archive.file):
        path = _verified(local_file(archive), archive)  # another process may have been faster
        for url in urls if path is None else ():
            try:
                return _downloaded(url, archive)
            except DownloadError as error:
                failures[url] = str(error)
    return path


def not_had(archives: Sequence[Archive], failures: dict[str, str]) -> UserError:
    """The error that names every place and says what a person can do."""
    wanted = " or ".join(dict.fromkeys(archive.file for archive in archives))
    asked = "; ".join(f"{place}: {reason}" for place, reason in failures.items())
    origin = next((archive.by_hand for archive in archives if archive.by_hand), "")
    return UserError(
        f"{wanted} could not be had (asked: {asked}): put it into {DOWNLOADS}/"
        f"{f' (from {origin})' if origin else ''} or set BLEMISH_MIRROR to a folder or URL that "
        "has it"
    )


def availability(archives: Sequence[Archive]) -> str:
    """ "ready" if one of `archives` is at hand, else "downloadable", else "by hand".

    Asks no server and reads no archive, so a damaged file counts as ready until it is used.
    """
    if not archives or any(_is_at_hand(archive) for archive in archives):
        return "ready"
    return "downloadable" if any(_urls(archive) for archive in archives) else "by hand"


def local_file(archive: Archive) -> Path | None:
    """The archive in the mirror folder, else in `data/downloads`, whatever it holds."""
    return next((p for p in _folders_joined(archive.file) if p.is_file()), None)


def local_tree(archive: Archive) -> Path | None:
    """The folder that a person has unpacked the archive to, if it is not empty."""
    return next((p for p in _folders_joined(archive.stem) if p.is_dir() and any(p.iterdir())), None)


def unpacked_tree(archive: Archive, digits: str = "") -> Path:
    """Where the unpacked archive is kept; `digits` of its SHA-256 if it has no checksum."""
    digits = digits or archive.checksum.partition(":")[2]
    return TREES / f"{archive.stem}-{digits[:12]}"


def _is_at_hand(archive: Archive) -> bool:
    if local_file(archive) or local_tree(archive):
        return True
    return bool(archive.checksum) and unpacked_tree(archive).is_dir()


def _folders_joined(name: str) -> Iterator[Path]:
    mirror = os.environ.get("BLEMISH_MIRROR", "")
    if mirror and not _is_url(mirror):
        yield Path(mirror) / name
    yield DOWNLOADS / name


def _empty_places() -> dict[str, str]:
    mirror = os.environ.get("BLEMISH_MIRROR", "")
    places = [f"BLEMISH_MIRROR {mirror}"] if mirror and not _is_url(mirror) else []
    return dict.fromkeys([*places, str(DOWNLOADS)], "not there")


def _urls(archive: Archive) -> list[str]:
    mirror = os.environ.get("BLEMISH_MIRROR", "")
    own = [f"{mirror.rstrip('/')}/{quote(archive.file)}"] if _is_url(mirror) else []
    return [*own, *archive.urls]


def _is_url(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _verified(path: Path | None, archive: Archive) -> Path | None:
    reason = fault(path, archive) if path is not None else ""
    if reason:
        raise UserError(
            f"{path}: {reason}: the file is damaged or another version; delete it and fetch it "
            "again"
        )
    return path


def _downloaded(url: str, archive: Archive) -> Path:
    target = DOWNLOADS / archive.file
    partial = DOWNLOADS / f"{archive.file}.part"
    download(url, partial, 0 if archive.content else archive.size)
    reason = fault(partial, archive)
    if reason:
        Partial(partial).discard()
        raise DownloadError(reason)
    if not (archive.checksum or archive.content):
        note_down(partial, target)
    Partial(partial).finish(target)
    return target
