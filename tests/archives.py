"""Archives made in memory, whole ones and malicious ones of every format."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial

import py7zr

FILES = {"top/a/one.txt": b"one" * 999, "top/b/two.txt": bytes(range(256)), "top/empty": b""}

Files = dict[str, bytes] | list[tuple[str, bytes]]


def pairs(files: Files) -> list[tuple[str, bytes]]:
    return list(files.items()) if isinstance(files, dict) else files


def zipped(files: Files, compression: int = zipfile.ZIP_DEFLATED, mode: int = 0) -> bytes:
    """A zip archive; `mode` is the Unix mode of every member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in pairs(files):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data, compression)
    return buffer.getvalue()


def tarred(files: Files, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A tar archive; `kind` and `link` are every member's type and target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", encoding="utf-8") as archive:
        for name, data in pairs(files):
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(data), kind, link
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def sevenzipped(files: Files, mode: int = 0o100644, password: str | None = None) -> bytes:
    """A 7z archive; py7zr refuses to write hostile names, so they are put in afterwards."""
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password=password) as archive:
        archive.set_encoded_header_mode(False)
        for number, (_, data) in enumerate(pairs(files)):
            archive.writestr(data, f"placeholder-{number}")
        for info, (name, _) in zip(archive.header.files_info.files, pairs(files), strict=True):
            info["filename"] = name
            info["attributes"] = 0x8000 | (mode << 16)
    return buffer.getvalue()


def gzipped(files: Files) -> bytes:
    return gzip.compress(tarred(files), mtime=0)


WHOLE: dict[str, Callable[[Files], bytes]] = {
    "zip": zipped,
    "stored zip": partial(zipped, compression=zipfile.ZIP_STORED),
    "bzip2 zip": partial(zipped, compression=zipfile.ZIP_BZIP2),
    "tar": tarred,
    "tar.gz": gzipped,
    "tar.bz2": lambda files: bz2.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files)),
    "7z": sevenzipped,
}
# One of each reader; what follows the formats' own names and kinds is tried on these.
FORMATS = {name: WHOLE[name] for name in ("zip", "tar", "7z")}


def with_flags(flags: int) -> bytes:
    """A zip whose only member has these bits set in its flags, in both headers."""
    data = bytearray(zipped({"top/one": b"1"}))
    data[6] |= flags
    data[data.index(b"PK\x01\x02") + 8] |= flags
    return bytes(data)


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """An archive with a member's name changed in the bytes, to what the writers would refuse."""
    assert len(old) == len(new)
    assert data.count(old) >= 1
    return data.replace(old, new)
