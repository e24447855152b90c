"""Reading 7z archives with py7zr, which hands out bytes in the archive's own order."""

import stat
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

import py7zr
from py7zr.io import Py7zIO, WriterFactory

from blemish.core.progress import byte_progress

from .members import Gate, Receiver, Write

HEADER = 32  # bytes before the packed members
LIST_AT = 12  # where the header says how far behind it the list of members is, and how long
LIST_PLACE = struct.Struct("<QQ")


def read_7z(path: Path, gate: Gate, receiver: Receiver) -> None:
    """Give the files to `receiver`.

    Raises UserError for a member that is refused, py7zr's errors for what is damaged.
    """
    _require_whole(path)
    # Given a path instead of a file, py7zr would write from several threads at once.
    with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
        sizes: dict[str, tuple[PurePosixPath, int]] = {}
        for info in archive.files:
            if archive.needs_password():
                raise gate.refusal(info.filename, "is encrypted")
            size = 0 if info.emptystream else info.uncompressed
            name = gate.admit(
                info.filename, size, is_folder=info.is_directory, is_regular=_is_regular(info)
            )
            if name is not None:
                sizes[name.as_posix()] = (name, size)
        total = sum(size for _, size in sizes.values())
        receiver.expect(total)
        with byte_progress(f"unpacking {path.name}", total) as advance:
            archive.extract(factory=_Members(sizes, receiver, advance))


def _require_whole(path: Path) -> None:
    """Raise Bad7zFile unless the list of members, which py7zr finds by its place, ends the file."""
    with path.open("rb") as file:
        offset, size = LIST_PLACE.unpack_from(file.read(HEADER).ljust(HEADER, b"\0"), LIST_AT)
    if HEADER + offset + size != path.stat().st_size:
        raise py7zr.Bad7zFile("it is cut short, or something follows its end")


def _is_regular(info: "py7zr.py7zr.ArchiveFile") -> bool:
    return not (info.is_symlink or info.is_junction) and info.st_fmt in (None, 0, stat.S_IFREG)


class _Members(WriterFactory):
    """Gives py7zr a place to write each member to."""

    def __init__(
        self,
        sizes: dict[str, tuple[PurePosixPath, int]],
        receiver: Receiver,
        advance: Callable[[int], object],
    ) -> None:
        self._sizes, self._receiver, self._advance = sizes, receiver, advance

    def create(self, filename: str) -> Py7zIO:
        known = self._sizes.get(filename)
        if known is None:  # what macOS leaves behind
            return _Member(None, self._advance)
        return _Member(self._receiver.member(*known), self._advance)


class _Member(Py7zIO):
    """Passes on what is written; py7zr closes it at the end of the member."""

    def __init__(
        self,
        context: AbstractContextManager[Write] | None,
        advance: Callable[[int], object],
    ) -> None:
        self._context, self._advance = context, advance
        self._write = context.__enter__() if context is not None else None
        self._size = 0

    def write(self, s: bytes | bytearray) -> int:
        if self._write is not None:
            self._write(bytes(s))
        self._size += len(s)
        self._advance(len(s))
        return len(s)

    def close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None

    def read(self, size: int | None = None) -> bytes:  # noqa: ARG002
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002
        return 0

    def flush(self) -> None:
        pass

    def size(self) -> int:
        return self._size
