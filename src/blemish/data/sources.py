"""Where published archives come from, and how one is verified and unpacked.

Asked in order: BLEMISH_MIRROR (a folder or a URL prefix), an archive the user put into
`data/downloads/`, the public URLs. An archive is hostile input until its checksum is right, and
its member names stay hostile after that.
"""

import hashlib
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

from blemish.errors import UserError
from blemish.files import finished_file

DOWNLOADS = Path("data/downloads")
LARGEST_MEMBER = 2**31  # bytes; no published image comes near it, an archive bomb does


@dataclass(frozen=True)
class Archive:
    """A published archive: the file name, its checksum as `md5:…` or `sha256:…`, public URLs.

    `content` is the digest of the unpacked bytes (`content_digest`), for publishers whose
    archives are packed anew at each download and so have no stable checksum.
    """

    file: str
    checksum: str
    urls: tuple[str, ...] = ()
    content: str = ""
    by_hand: str = ""  # where a person finds it


def obtain(archives: list[Archive]) -> Path:
    """The path of the first of `archives` that can be had, verified.

    Raises UserError naming the file, the places that were asked and where to put it by hand, or
    the file whose checksum is wrong.
    """
    asked = []
    for archive in archives:
        for place, find in _places(archive):
            path = find()
            if path is not None:
                _verify(path, archive)
                return path
            asked.append(place)
    wanted = " or ".join(dict.fromkeys(archive.file for archive in archives))
    origin = next((archive.by_hand for archive in archives if archive.by_hand), "")
    raise UserError(
        f"{wanted} could not be had (asked: {', '.join(dict.fromkeys(asked))}): put it into "
        f"{DOWNLOADS}/{f' (from {origin})' if origin else ''} or set BLEMISH_MIRROR to a folder "
        "or URL that has it"
    )


def _places(archive: Archive) -> Iterator[tuple[str, Callable[[], Path | None]]]:
    mirror = os.environ.get("BLEMISH_MIRROR", "")
    if mirror.startswith(("http://", "https://")):
        url = f"{mirror.rstrip('/')}/{archive.file}"
        yield f"BLEMISH_MIRROR {url}", lambda: _download(url, archive)
    elif mirror:
        yield f"BLEMISH_MIRROR {mirror}", lambda: _existing(Path(mirror) / archive.file)
    yield str(DOWNLOADS), lambda: _existing(DOWNLOADS / archive.file)
    for public in archive.urls:
        yield public, lambda public=public: _download(public, archive)  # type: ignore[misc]


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _download(url: str, archive: Archive) -> Path | None:
    """Download to `data/downloads`; None if the server cannot be reached or has no such file."""
    import pooch
    import requests

    target = DOWNLOADS / archive.file
    try:
        with finished_file(target) as temporary:
            fetch = pooch.HTTPDownloader(progressbar=True, timeout=30)
            fetch(url, str(temporary.absolute()), None)
    except (requests.RequestException, ValueError, OSError):
        return None
    return target


def _verify(path: Path, archive: Archive) -> None:
    algorithm, _, expected = archive.checksum.partition(":")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found == expected:
        return
    if archive.content and _unpacked_digest(path) == archive.content:
        return
    raise UserError(
        f"{path}: wrong checksum ({algorithm} {found[:12]}…, expected {expected[:12]}…): the file "
        "is damaged or another version; delete it and fetch it again"
    )


def _unpacked_digest(path: Path) -> str:
    try:
        return content_digest(path)
    except UserError:
        return ""


Member = tuple[PurePosixPath, Callable[[], BufferedIOBase]]
# What reading a damaged, encrypted or unknown archive raises, at opening or in mid-member.
CORRUPT = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
UNREADABLE = (*CORRUPT, RuntimeError, OSError)


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise UserError(
            f"{path}: cannot be unpacked as a zip or tar archive ({reason}); fetch it again"
        ) from None


def _members(path: Path) -> Iterator[Member]:
    """The files of a zip or tar archive: safe relative names, and a function that opens each.

    Raises UserError naming the member that is a link or a device, is absurdly large, or has a
    name that leads outside.
    """
    return _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path)


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            # The high half of external_attr is the Unix mode; 0o120000 is a symbolic link.
            regular = (info.external_attr >> 16) & 0o170000 in (0, 0o100000)
            name = _safe_name(path, info.filename, info.file_size, regular)
            yield name, lambda info=info: archive.open(info)  # type: ignore[misc]


def _tar_members(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isdir():
                continue
            name = _safe_name(path, info.name, info.size, info.isreg())
            yield name, lambda info=info: archive.extractfile(info)  # type: ignore[misc]


def _safe_name(archive: Path, name: str, size: int, regular: bool) -> PurePosixPath:
    safe = PurePosixPath(name)
    if not regular:
        raise UserError(f"{archive}: member {name!r} is a link or a device: refused, not unpacked")
    if safe.is_absolute() or ".." in safe.parts or "\\" in name or "\0" in name or not safe.parts:
        raise UserError(f"{archive}: member {name!r} leads outside the folder: refused")
    if size > LARGEST_MEMBER:
        raise UserError(f"{archive}: member {name!r} claims {size:,} bytes: refused")
    return safe


def unpack(
    path: Path, folder: Path, wanted: Callable[[PurePosixPath], PurePosixPath | None]
) -> int:
    """Unpack the members for which `wanted` gives a target name below `folder`; return how many.

    Raises UserError naming the archive if it cannot be read to its end, or the member that is
    refused: a link, a device, one that is there twice or whose name leads outside.
    """
    count = 0
    with _unpacking(path):
        for name, opened in _members(path):
            target = wanted(name)
            if target is None:
                continue
            place = folder / target
            if place.exists():
                raise UserError(f"{path}: member {str(name)!r} is there twice: refused")
            place.parent.mkdir(parents=True, exist_ok=True)
            with opened() as source, place.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            count += 1
    return count


def content_digest(path: Path) -> str:
    """SHA-256 over an archive's sorted (name without its top folder, SHA-256 of the bytes).

    Raises UserError as `unpack` does.
    """
    lines = []
    with _unpacking(path):
        for name, opened in _members(path):
            with opened() as stream:
                inner = "/".join(name.parts[1:])
                lines.append(f"{inner} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
