"""Reading rar archives: the list with rarfile, packed members with an unpacker it finds."""

from pathlib import Path

import rarfile

from blemish.progress import byte_progress

from .by_hand import unpack_by_hand
from .gate import Gate
from .streams import BLOCK
from .visitor import Visitor


def read_rar(path: Path, gate: Gate, visitor: Visitor) -> None:
    """Show the files to `visitor`, in the order of the archive.

    Raises UserError for a member that is refused, or where this machine has no unpacker for rar;
    rarfile's errors for what is damaged.
    """
    with rarfile.RarFile(path) as archive:
        files = []
        for info in archive.infolist():
            if info.needs_password():
                raise gate.refusal(info.filename, "is encrypted")
            name = gate.admit(
                info.filename,
                info.file_size,
                is_folder=info.is_dir(),
                is_regular=info.is_file() and not info.file_redir,
            )
            if name is not None:
                files.append((name, info))
        visitor.expect((name, info.file_size) for name, info in files)
        total = sum(info.file_size for _, info in files)
        try:
            with byte_progress(f"unpacking {path.name}", total) as advance:
                for name, info in files:
                    with visitor.member(name, info.file_size) as write:
                        if write is not None:
                            with archive.open(info) as source:
                                while data := source.read(BLOCK):
                                    write(data)
                    advance(info.file_size)
        except rarfile.RarCannotExec:
            raise unpack_by_hand(path, "no unrar, unar, 7z or bsdtar on this machine") from None
