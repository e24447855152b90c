"""Reading tar archives, plain or packed as gzip, bzip2 or xz: in order, whole, in bounded memory.

The standard library's files ignore what follows a complete xz or bzip2 stream, its tar reader
takes damage in mid-archive for the end and believes any size that a header claims. An archive
that is unpacked in part must not look whole, so this module checks what those leave out.
"""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from blemish.core.progress import byte_progress

from .members import Gate, Receiver

BLOCK = 2**20
LARGEST_HEADER = 2**24  # bytes of a tar header with its extensions; published ones take under 2**10
LZMA_MEMORY = 2**30  # bytes; `xz -9` needs 65 MB to unpack, the format allows 1.5 GB

Decoder = bz2.BZ2Decompressor | lzma.LZMADecompressor


class Decompressed(io.RawIOBase):
    """An xz or bzip2 file as a stream that refuses what is not part of it."""

    def __init__(self, packed: BinaryIO, decoder: Callable[[], Decoder]) -> None:
        self._packed, self._new_decoder = packed, decoder
        self._decoder = decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the start of `buffer`. Raises EOFError if the file is cut short."""
        while True:
            if self._decoder.eof and not self._next_stream():
                return 0
            packed = self._packed.read(BLOCK) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not packed:
                raise EOFError("it is cut short")
            data = self._decoder.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _next_stream(self) -> bool:
        """Whether another compressed stream follows; zeros in between are padding."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            block = self._packed.read(BLOCK)
            if not block:
                return False
            rest = block.lstrip(b"\0")
        self._packed.seek(-len(rest), io.SEEK_CUR)
        self._decoder = self._new_decoder()
        return True


class TarStream:
    """What `tarfile` reads from: forward only, at most `allowance` bytes in all."""

    def __init__(self, stream: BinaryIO, allowance: int) -> None:
        self._stream, self._allowance = stream, allowance
        self._position = 0
        self._last = b""  # what was read last
        self._back = 0  # 1 after a step back: tarfile looks at a member's last byte

    def tell(self) -> int:
        return self._position - self._back

    def seek(self, position: int) -> None:
        self._back = 0
        while position > self._position and self.read(min(BLOCK, position - self._position)):
            pass
        if position == self._position - 1:
            self._back = 1
        elif position < self._position:
            raise tarfile.ReadError("its parts are not in order")

    def read(self, size: int) -> bytes:
        if size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        again = self._last[-1:] if self._back and size else b""
        self._back = 0 if again else self._back
        data = self._stream.read(size - len(again)) if size > len(again) else b""
        self._position += len(data)
        if self._position > self._allowance:
            raise tarfile.ReadError(f"it holds more than the {self._allowance:,} bytes allowed")
        self._last = data or again
        return again + data

    def finish(self) -> None:
        """Read to the end. Raises tarfile.ReadError unless zeros end the archive and the file."""
        if len(self._last) != tarfile.BLOCKSIZE or self._last.strip(b"\0"):
            raise tarfile.ReadError("it is damaged or cut short")
        while block := self.read(BLOCK):
            if block.strip(b"\0"):
                raise tarfile.ReadError("something follows its end")


@contextmanager
def tar_stream(path: Path, allowance: int) -> Iterator[tuple[TarStream, Callable[[], int]]]:
    """The unpacked bytes of a tar file, and a function that tells how much of it has been read."""
    with ExitStack() as stack:
        packed = stack.enter_context(path.open("rb"))
        magic = packed.read(6)
        packed.seek(0)
        stream: BinaryIO = packed
        if magic.startswith(b"\x1f\x8b"):
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=packed))
        elif magic.startswith(b"BZh"):
            stream = io.BufferedReader(Decompressed(packed, bz2.BZ2Decompressor), BLOCK)
        elif magic == b"\xfd7zXZ\0":
            stream = io.BufferedReader(Decompressed(packed, _xz_decoder), BLOCK)
        yield TarStream(stream, allowance), packed.tell


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)


def read_tar(path: Path, gate: Gate, receiver: Receiver) -> None:
    """Give the files to `receiver` in one pass.

    Raises UserError for a member that is refused, tarfile's and the decompressors' errors for what
    is damaged, cut short, or goes on after its end.
    """
    size = path.stat().st_size
    with (
        tar_stream(path, gate.allowance) as (stream, packed),
        byte_progress(f"unpacking {path.name}", size) as advance,
        _opened(stream) as archive,
    ):
        done = 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep two million
            _deliver(archive, info, gate, receiver)
            advance(packed() - done)
            done = packed()
        stream.finish()


def _opened(stream: TarStream) -> tarfile.TarFile:
    # UTF-8 whatever the machine's locale is: other bytes become surrogates, which the gate refuses.
    return tarfile.open(
        fileobj=cast("tarfile._Fileobj", stream),  # it asks for read, seek and tell alone
        mode="r:",
        encoding="utf-8",
        errors="surrogateescape",
    )


def _deliver(
    archive: tarfile.TarFile, info: tarfile.TarInfo, gate: Gate, receiver: Receiver
) -> None:
    name = gate.admit(
        info.name,
        info.size,
        is_folder=info.isdir(),
        is_regular=info.isreg() and not info.issparse(),
    )
    if name is None:
        return
    with receiver.member(name, info.size) as write:
        source = archive.extractfile(info)
        while source is not None and (data := source.read(BLOCK)):
            write(data)
