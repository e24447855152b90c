"""Reading rar archives: the list with rarfile, packed members with an unpacker it finds."""

from pathlib import Path, PurePosixPath

import rarfile

from blemish.core.progress import byte_progress

from .by_hand import unpack_by_hand
from .gate import Gate
from .streams import BLOCK
from .visitor import Visitor


def read_rar(path: Path, gate: Gate, visitor: Visitor) -> None:
    """Show the files to `visitor`, in the order of the archive.

    Raises UserError for a member that is refused, or where this machine has no unpacker for rar;
    rarfile's errors for what is damaged or cut short.
    """
    ends: list[int] = []

    def note_end(block: rarfile.RarInfo) -> None:
        if block.type == rarfile.RAR_BLOCK_ENDARC:
            ends.append(block.data_offset)

    # Strict, since rarfile otherwise takes damage for the end; one part, since it would follow
    # names of further volumes to other files.
    with rarfile.RarFile(path, info_callback=note_end, errors="strict", part_only=True) as archive:
        if archive.needs_password():
            raise unpack_by_hand(path, "it is encrypted")
        if ends != [path.stat().st_size]:
            raise rarfile.BadRarFile("it is cut short, or something follows its end")
        files = [
            (name, info) for info in archive.infolist() if (name := _admit(info, gate)) is not None
        ]
        visitor.expect((name, info.file_size) for name, info in files)
        try:
            _deliver(archive, files, visitor, path)
        except rarfile.RarCannotExec:
            raise unpack_by_hand(path, "no unrar, unar, 7z or bsdtar on this machine") from None


def _admit(info: rarfile.RarInfo, gate: Gate) -> PurePosixPath | None:
    if "\N{REPLACEMENT CHARACTER}" in info.filename:
        raise gate.refusal(info.filename, "has a name that is not UTF-8")
    return gate.admit(
        info.filename,
        info.file_size,
        is_folder=info.is_dir(),
        is_regular=info.is_file() and not info.file_redir,
    )


def _deliver(
    archive: rarfile.RarFile,
    files: list[tuple[PurePosixPath, rarfile.RarInfo]],
    visitor: Visitor,
    path: Path,
) -> None:
    total = sum(info.file_size for _, info in files)
    with byte_progress(f"unpacking {path.name}", total) as advance:
        for name, info in files:
            with visitor.member(name, info.file_size) as write:
                if write is not None:
                    with archive.open(info) as source:
                        while data := source.read(BLOCK):
                            write(data)
            advance(info.file_size)
