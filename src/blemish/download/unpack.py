"""Reading an archive of any format to its end: to unpack it, or for the digest of its content."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from blemish.core.errors import UserError

from .archive import DOWNLOADS, Archive
from .disk import require_free
from .members import Gate, Receiver, Write
from .sevenzip import read_7z
from .tar import read_tar
from .zip import read_zip

Reader = Callable[[Path, Gate, Receiver], None]

READERS: dict[bytes, Reader] = {
    b"PK\x03\x04": read_zip,
    b"PK\x05\x06": read_zip,  # without members
    b"7z\xbc\xaf\x27\x1c": read_7z,
    b"\x1f\x8b": read_tar,  # gzip
    b"BZh": read_tar,  # bzip2
    b"\xfd7zXZ\x00": read_tar,  # xz
}
UNREADABLE = {b"Rar!\x1a\x07": "rar", b"\x28\xb5\x2f\xfd": "zstd"}


def unpack(path: Path, folder: Path) -> int:
    """Unpack the files of an archive into an empty folder; return how many there are.

    Raises UserError naming the archive if it cannot be read to its end or does not fit on the
    disk, or the member that is refused: a link, a device, one that is there twice, one whose name
    leads outside, one that claims absurdly many bytes.
    """
    writer = _Writer(path, folder)
    folder.mkdir(parents=True, exist_ok=True)
    read_archive(path, writer)
    return writer.count


def content_digest(path: Path) -> str:
    """SHA-256 over an archive's sorted (name without its top folder, SHA-256 of the bytes).

    Raises UserError as `unpack` does.
    """
    digester = _Digester()
    read_archive(path, digester)
    return hashlib.sha256("".join(sorted(digester.lines)).encode()).hexdigest()


def read_archive(path: Path, receiver: Receiver) -> None:
    """Give every member to `receiver`; complete and in order, or UserError naming file and member.

    The kind is taken from the first bytes: names of archives lie, and a file may be read as two
    formats that disagree about what it holds.
    """
    head = _head(path)
    for magic, name in UNREADABLE.items():
        if head.startswith(magic):
            folder = DOWNLOADS / Archive(path.name).stem
            raise UserError(
                f"{path}: cannot be unpacked ({name} is not read): unpack it by hand into {folder}/"
            )
    reader = _reader(head)
    if reader is None:
        raise UserError(
            f"{path}: cannot be unpacked: it is no zip, tar or 7z archive; fetch it again"
        )
    try:
        reader(path, Gate(path), receiver)
    except UserError:
        raise
    except Exception as error:
        # The readers of hostile bytes raise whatever their parsers meet: besides their own errors
        # ValueError, IndexError, OverflowError, struct.error, zlib.error, MemoryError, …
        reason = str(error).partition("\n")[0].rstrip(":")[:200] or type(error).__name__
        raise UserError(f"{path}: cannot be unpacked ({reason}); fetch it again") from error


def is_archive(path: Path) -> bool:
    """Whether the first bytes are those of an archive, be it one to unpack by hand."""
    head = _head(path)
    return _reader(head) is not None or head.startswith(tuple(UNREADABLE))


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(tarfile.BLOCKSIZE)


def _reader(head: bytes) -> Reader | None:
    for magic, reader in READERS.items():
        if head.startswith(magic):
            return reader
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return read_tar


class _Writer:
    """Writes the members into a folder."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.count = 0
        self._folder, self._title = folder, f"unpacking {path.name}"

    def expect(self, size: int) -> None:
        require_free(self._folder, size, self._title)

    @contextmanager
    def member(self, name: PurePosixPath, size: int) -> Iterator[Write]:
        place = self._folder / name
        require_free(self._folder, size, self._title)
        with _named(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = place.open("xb")

        def write(data: bytes) -> None:
            with _named(place):
                copy.write(data)

        with copy:
            yield write
        self.count += 1


@contextmanager
def _named(place: Path) -> Iterator[None]:
    """Only around what writes: errors of a damaged archive are OSErrors too."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{place}: cannot be written while unpacking ({error.strerror})") from None


class _Digester:
    """Notes the digest of each member."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def expect(self, size: int) -> None:
        pass

    @contextmanager
    def member(self, name: PurePosixPath, size: int) -> Iterator[Write]:  # noqa: ARG002
        digest = hashlib.sha256()
        yield digest.update
        self.lines.append(f"{'/'.join(name.parts[1:])} {digest.hexdigest()}\n")
