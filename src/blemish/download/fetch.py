"""Fetching an archive from the first place that has it, verified, and unpacking it once."""

from collections.abc import Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.files import finished_folder

from .archive import DOWNLOADS, Archive
from .disk import locked, require_free
from .partial import Partial
from .places import local_file, local_places, local_tree, unpacked_tree, urls
from .unpack import unpack
from .verify import digest, fault, record_digest


def fetch(archives: Sequence[Archive]) -> Path:
    """The verified file of the first of `archives`, alternatives to each other, that is available.

    Raises UserError naming the places that were asked and why each has it not, or the local file
    that is damaged, or the disk that is too small.
    """
    failures: dict[str, str] = {}
    for archive in archives:
        path = _available(archive, failures)
        if path is not None:
            return path
    raise _unavailable(archives, failures)


def unpacked(archives: Sequence[Archive]) -> Path:
    """The folder with the whole unpacked tree of the first of `archives` that is available.

    That is a folder which a person has unpacked the archive to, as it is, or else
    `data/downloads/unpacked/<stem>-<digits of the checksum>/`, made from the verified archive when
    it is first asked for and shared by all units of a data set. Raises UserError as `fetch` and
    `unpack` do.
    """
    failures: dict[str, str] = {}
    for archive in archives:
        tree = _tree_at_hand(archive)
        if tree is not None:
            return tree
        path = _available(archive, failures)
        if path is not None:
            return _unpack_once(path, archive)
    raise _unavailable(archives, failures)


def _available(archive: Archive, failures: dict[str, str]) -> Path | None:
    """The verified file of one archive, downloaded if need be; None notes in `failures` why not."""
    path = _verified(local_file(archive), archive)
    if path is not None:
        return path
    failures.update(dict.fromkeys(local_places(), "not there"))
    if not urls(archive):
        return None
    with locked(archive.file):
        path = _verified(local_file(archive), archive)  # another process may have been faster
        return path or _downloaded(archive, failures)


def _verified(path: Path | None, archive: Archive) -> Path | None:
    reason = fault(path, archive) if path is not None else ""
    if reason:
        raise UserError(
            f"{path}: {reason}: the file is damaged or another version; delete it and fetch it "
            "again"
        )
    return path


def _downloaded(archive: Archive, failures: dict[str, str]) -> Path | None:
    from .transfer import DownloadError, download  # slow to import, and seldom needed

    target = DOWNLOADS / archive.file
    partial = Partial(DOWNLOADS / f"{archive.file}.part")
    for url in urls(archive):
        try:
            download(url, partial.path, 0 if archive.content else archive.size)
        except DownloadError as error:
            failures[url] = str(error)
            continue
        failures[url] = fault(partial.path, archive)
        if failures[url]:
            partial.discard()
            continue
        if not (archive.checksum or archive.content):
            record_digest(partial.path, target)
        partial.finish(target)
        return target
    return None


def _unavailable(archives: Sequence[Archive], failures: dict[str, str]) -> UserError:
    """The error that names every place and says what a person can do."""
    wanted = " or ".join(dict.fromkeys(archive.file for archive in archives))
    asked = "; ".join(f"{place}: {reason}" for place, reason in failures.items())
    origin = next((archive.by_hand for archive in archives if archive.by_hand), "")
    return UserError(
        f"{wanted} could not be had (asked: {asked}): put it into {DOWNLOADS}/"
        f"{f' (from {origin})' if origin else ''} or set BLEMISH_MIRROR to a folder or URL that "
        "has it"
    )


def _tree_at_hand(archive: Archive) -> Path | None:
    """A tree that needs no work: ours, or without an archive file the one made by hand."""
    if archive.checksum and unpacked_tree(archive).is_dir():
        return unpacked_tree(archive)
    return local_tree(archive) if local_file(archive) is None else None


def _unpack_once(path: Path, archive: Archive) -> Path:
    tree = unpacked_tree(archive, "" if archive.checksum else digest(path, "sha256"))
    with locked(archive.file):
        if not tree.is_dir():
            with finished_folder(tree) as folder:
                require_free(folder, path.stat().st_size, f"unpacking {path.name}")
                if not unpack(path, folder):
                    raise UserError(f"{path}: holds no files: fetch it again")
    return tree
