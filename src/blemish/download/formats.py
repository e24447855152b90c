"""Which format a file has, and reading it to its end."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blemish.core.errors import UserError

from .by_hand import unpack_by_hand
from .gate import Gate
from .rar import read_rar
from .sevenzip import read_7z
from .tar import read_tar
from .visitor import Visitor
from .zip import read_zip

Reader = Callable[[Path, Gate, Visitor], None]

MAGIC: dict[bytes, Reader] = {
    b"PK\x03\x04": read_zip,
    b"PK\x05\x06": read_zip,  # without members
    b"7z\xbc\xaf\x27\x1c": read_7z,
    b"Rar!\x1a\x07": read_rar,
    b"\x1f\x8b": read_tar,  # gzip
    b"BZh": read_tar,  # bzip2
    b"\xfd7zXZ\x00": read_tar,  # xz
}
ZSTD = b"\x28\xb5\x2f\xfd"


def read_archive(path: Path, visitor: Visitor) -> None:
    """Show every member to `visitor`; complete and in order, or UserError naming file and member.

    The kind is taken from the first bytes: names of archives lie, and a file may be read as two
    formats that disagree about what it holds.
    """
    with _reading(path):
        reader = _reader(path)
        reader(path, Gate(path), visitor)


def is_archive(path: Path) -> bool:
    """Whether the first bytes are those of an archive that can be read."""
    try:
        _reader(path)
    except UserError:
        return False
    return True


def _reader(path: Path) -> Reader:
    with path.open("rb") as stream:
        head = stream.read(tarfile.BLOCKSIZE)
    for magic, reader in MAGIC.items():
        if head.startswith(magic):
            return reader
    if head.startswith(ZSTD):
        raise unpack_by_hand(path, "zstd is not read")
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise UserError(
            f"{path}: cannot be unpacked: it is no zip, tar, 7z or rar archive; fetch it again"
        ) from None
    return read_tar


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # The readers of hostile bytes raise whatever their parsers meet: besides their own errors
        # ValueError, IndexError, OverflowError, struct.error, zlib.error, MemoryError, …
        reason = str(error).partition("\n")[0].rstrip(":")[:200] or type(error).__name__
        raise UserError(f"{path}: cannot be unpacked ({reason}); fetch it again") from error
