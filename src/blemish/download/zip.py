"""Reading zip archives."""

import zipfile
from pathlib import Path, PurePosixPath

from blemish.core.progress import byte_progress

from .members import Gate, Receiver

BLOCK = 2**20
ENCRYPTED = 0x1  # bits of a member's flags
UTF8 = 0x800
END = 22  # bytes of the record that ends a zip file, before its comment


def read_zip(path: Path, gate: Gate, receiver: Receiver) -> None:
    """Give the files to `receiver`, in the order of the archive's list.

    Raises UserError for a member that is refused, zipfile's and the decompressors' errors for what
    is damaged.
    """
    with _opened(path, gate) as archive:
        infos = archive.infolist()
        _require_whole(path, infos)
        names = [_admit(info, gate) for info in infos]
        files = [(name, info) for name, info in zip(names, infos, strict=True) if name is not None]
        total = sum(info.file_size for _, info in files)
        receiver.expect(total)
        with byte_progress(f"unpacking {path.name}", total) as advance:
            for name, info in files:
                with receiver.member(name, info.file_size) as write, archive.open(info) as source:
                    while data := source.read(BLOCK):
                        write(data)
                advance(info.file_size)


def _opened(path: Path, gate: Gate) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except UnicodeDecodeError as error:
        raise gate.refusal(error.object, "has a name that is not UTF-8, as it says") from None


def _require_whole(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Raise BadZipFile where something stands before the first member or after the list.

    zipfile looks for the list from the end and skips both; another archive may hide there.
    """
    if infos and min(info.header_offset for info in infos) != 0:
        raise zipfile.BadZipFile("something stands before its first member")
    with path.open("rb") as stream:
        size = path.stat().st_size
        stream.seek(max(0, size - END - 0xFFFF))
        tail = stream.read()
    end = tail.rfind(b"PK\x05\x06")
    if end + END + int.from_bytes(tail[end + 20 : end + 22], "little") != len(tail):
        raise zipfile.BadZipFile("something follows its end")


def _admit(info: zipfile.ZipInfo, gate: Gate) -> PurePosixPath | None:
    if info.flag_bits & ENCRYPTED:
        raise gate.refusal(info.filename, "is encrypted")
    # The high half of external_attr is the Unix mode; 0o100000 is a regular file.
    mode = (info.external_attr >> 16) & 0o170000
    return gate.admit(
        _name(info, gate),
        info.file_size,
        is_folder=info.is_dir(),
        is_regular=mode in (0, 0o100000),
    )


def _name(info: zipfile.ZipInfo, gate: Gate) -> str:
    """A member's name. Many tools write UTF-8 without saying so; zipfile reads that as CP437."""
    name = info.orig_filename  # `filename` ends at a NUL
    if info.flag_bits & UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        raise gate.refusal(name, "has a name that is not UTF-8") from None
