"""The unpacked trees of archives, made once and shared by all units of a data set."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from blemish.core.errors import UserError
from blemish.core.files import finished_folder

from .archive import Archive
from .disk import alone_with, require_free
from .places import had, local_file, local_tree, not_had, unpacked_tree
from .unpack import unpack
from .verify import digest


def unpacked(archives: Sequence[Archive]) -> Path:
    """The folder with the whole unpacked tree of the first of `archives` that can be had.

    That is a folder which a person has unpacked the archive to, as it is, or else
    `data/downloads/unpacked/<stem>-<digits of the checksum>/`, made from the verified archive when
    it is first asked for. Raises UserError as `obtain` and `unpack` do.
    """
    failures: dict[str, str] = {}
    for archive in archives:
        tree = _at_hand(archive)
        if tree is not None:
            return tree
        path = had(archive, failures)
        if path is not None:
            return _unpack_once(path, archive)
    raise not_had(archives, failures)


def _at_hand(archive: Archive) -> Path | None:
    """A tree that needs no work: ours, or without an archive file the one made by hand."""
    if archive.checksum and unpacked_tree(archive).is_dir():
        return unpacked_tree(archive)
    return local_tree(archive) if local_file(archive) is None else None


def _unpack_once(path: Path, archive: Archive) -> Path:
    tree = unpacked_tree(archive, "" if archive.checksum else digest(path, "sha256"))
    with alone_with(archive.file):
        if not tree.is_dir():
            with finished_folder(tree) as folder:
                require_free(folder, path.stat().st_size, f"unpacking {path.name}")
                if not unpack(path, folder, _everything):
                    raise UserError(f"{path}: holds no files: fetch it again")
    return tree


def _everything(name: PurePosixPath) -> PurePosixPath:
    return name
