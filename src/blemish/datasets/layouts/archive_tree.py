"""Finding the published folders in an unpacked archive, and linking their files.

Archives arrive with or without a top folder, sometimes a doubled or a renamed one, unpacked by us
or by hand, and with file names in another case. So folders are looked for by what they hold.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.datasets.dataset import images_in

DEPTH = 8  # levels that are searched: no publisher nests deeper, but links may form a circle
IGNORED = frozenset({"__macosx"})


def entry(folder: Path, path: str) -> Path | None:
    """The file or folder `path` (`train/good`) below `folder`, in any case; None if not there."""
    for name in path.split("/"):
        exact = folder / name
        if not exact.exists():
            entries = sorted(folder.iterdir()) if folder.is_dir() else []
            same = [child for child in entries if child.name.casefold() == name.casefold()]
            if not same:
                return None
            exact = same[0]
        folder = exact
    return folder


def known_entry(folder: Path, path: str) -> Path:
    """As `entry`, of what has been seen to be there."""
    existing = entry(folder, path)
    assert existing is not None
    return existing


def holding(*paths: str) -> Callable[[Path], bool]:
    """Whether a folder has all these entries, in any case."""
    return lambda folder: all(entry(folder, path) for path in paths)


def folders_in(folder: Path | None) -> list[Path]:
    """The folders directly in a folder (None: there is no such one), sorted, none hidden."""
    return sorted(
        inner
        for inner in (folder.iterdir() if folder else ())
        if inner.is_dir() and not inner.name.startswith(".") and inner.name.lower() not in IGNORED
    )


def folders_below(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """`root` and the folders below it, the shallow ones first."""
    level = [root]
    for _ in range(depth):
        yield from level
        level = [inner for folder in level for inner in folders_in(folder)]


def find_folder(root: Path, fits: Callable[[Path], bool], expected: str) -> Path:
    """The shallowest folder that fits, at or below `root`.

    Raises UserError saying what was `expected` and what lies there instead.
    """
    for folder in folders_below(root):
        if fits(folder):
            return folder
    raise UserError(f"{root}: expected {expected}; found {listing(root)}")


def listing(folder: Path, most: int = 6) -> str:
    """The names in a folder, for an error line."""
    names = sorted(f"{child.name}{'/' * child.is_dir()}" for child in folder.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "nothing"


def link_file(source: Path, target: Path) -> None:
    """Link a file of the workspace; copy one from elsewhere (a tree in the mirror), for DVC makes
    the bytes that it keeps read-only."""
    if source.resolve().is_relative_to(Path.cwd()):
        link(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def link_images(source: Path | None, target: Path) -> None:
    """Link the images directly in `source` (None: there is no such folder)."""
    for image in images_in(source) if source else ():
        link_file(image, target / image.name)


def link_tree(
    source: Path, target: Path, wanted: Callable[[Path], bool], if_none: str = ""
) -> None:
    """Link the files below `source` that are `wanted`, in the same folders.

    Raises UserError with the text `if_none` if there are none; without it, none is fine.
    """
    files = [file for folder in folders_below(source) for file in sorted(folder.iterdir())]
    files = [file for file in files if file.is_file() and wanted(file)]
    for file in files:
        link_file(file, target / file.relative_to(source))
    if if_none and not files:
        raise UserError(f"{source}: {if_none}; found {listing(source)}")
