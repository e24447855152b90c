"""Whether a file is the archive that it should be."""

import hashlib
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.progress import byte_progress

from .archive import Archive
from .unpack import content_digest, is_archive

BLOCK = 2**20


def fault(path: Path, archive: Archive) -> str:
    """What is wrong with a file that should be `archive`; "" if it is what the publisher made.

    The checksum decides, or the content digest where that differs or is unknown. An archive that
    has neither must have the known size and be an archive; one that was downloaded must still be
    what it was then (`record_digest`).
    """
    size = path.stat().st_size
    if archive.size and size != archive.size and not archive.content:
        return f"has {size:,} bytes, expected {archive.size:,}"
    if archive.checksum:
        return _wrong_checksum(path, archive)
    if archive.content:
        return "" if _content(path) == archive.content else "wrong content"
    if not is_archive(path):
        return "is no archive that can be read (a web page or another error of the server?)"
    note = _note(path)
    if note.exists() and note.read_text(encoding="utf-8").strip() != digest(path, "sha256"):
        return f"is not what was downloaded (delete {note} too)"
    return ""


def record_digest(path: Path, target: Path) -> None:
    """Record beside `target` the digest of `path`, which will become it, as its own checksum."""
    _note(target).write_text(digest(path, "sha256") + "\n", encoding="utf-8")


def digest(path: Path, algorithm: str) -> str:
    """The digest of a file's bytes in hex, with progress: the largest archives take a minute."""
    result = hashlib.new(algorithm)
    size = path.stat().st_size
    with path.open("rb") as file, byte_progress(f"verifying {path.name}", size) as advance:
        while block := file.read(BLOCK):
            result.update(block)
            advance(len(block))
    return result.hexdigest()


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def _wrong_checksum(path: Path, archive: Archive) -> str:
    algorithm, _, expected = archive.checksum.partition(":")
    actual = digest(path, algorithm)
    if actual == expected or (archive.content and _content(path) == archive.content):
        return ""
    return f"wrong checksum ({algorithm} {actual[:12]}…, expected {expected[:12]}…)"


def _content(path: Path) -> str:
    try:
        return content_digest(path)
    except UserError:
        return ""
