"""Reading tar archives, plain or packed as gzip, bzip2 or xz."""

import tarfile
from pathlib import Path
from typing import cast

from blemish.core.progress import byte_progress

from .gate import Gate
from .streams import BLOCK, TarStream, tar_stream
from .visitor import Visitor


def read_tar(path: Path, gate: Gate, visitor: Visitor) -> None:
    """Show the files to `visitor` in one pass.

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
            _deliver(archive, info, gate, visitor)
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


def _deliver(archive: tarfile.TarFile, info: tarfile.TarInfo, gate: Gate, visitor: Visitor) -> None:
    name = gate.admit(
        info.name,
        info.size,
        is_folder=info.isdir(),
        is_regular=info.isreg() and not info.issparse(),
    )
    if name is None:
        return
    with visitor.member(name, info.size) as write:
        source = archive.extractfile(info) if write is not None else None
        while source is not None and write is not None and (data := source.read(BLOCK)):
            write(data)
