"""What the adapters of published archives share: finding their folders, bringing their files.

Archives arrive with or without a top folder, sometimes a doubled or a renamed one, unpacked by us
or by hand, and with file names in another case. So folders are looked for by what they hold.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.datasets.dataset import images_in
from blemish.download.archive import Archive

DEPTH = 8  # levels that are searched: no publisher nests deeper, but links may form a circle
PACKINGS = (".zip", ".tar.gz", ".tar", ".7z", ".rar")
IGNORED = frozenset({"__macosx"})
COUNTED = ("train", "test_good", "test_defective")


def by_hand(stem: str, origin: str) -> tuple[Archive, ...]:
    """An archive that only a person can fetch, in whatever packing its cloud drive gives it."""
    return tuple(Archive(file=f"{stem}{packing}", by_hand=origin) for packing in PACKINGS)


def for_category(
    archives: Iterable[Sequence[Archive]], category: str
) -> tuple[tuple[Archive, ...], ...]:
    """`DataSet.archives` with `{category}` in file names replaced."""
    return tuple(
        tuple(replace(one, file=one.file.format(category=category)) for one in alternatives)
        for alternatives in archives
    )


def counts(table: Mapping[str, Sequence[int]]) -> dict[str, dict[str, int]]:
    """`DataSet.expected` from category → (train, good test, defective test) images."""
    return {name: dict(zip(COUNTED, row, strict=True)) for name, row in table.items()}


def child(folder: Path, *names: str) -> Path | None:
    """The entry `names[0]/names[1]/…` below `folder`, in any case; None if there is none."""
    for name in names:
        exact = folder / name
        if not exact.exists():
            entries = sorted(folder.iterdir()) if folder.is_dir() else []
            same = [entry for entry in entries if entry.name.casefold() == name.casefold()]
            if not same:
                return None
            exact = same[0]
        folder = exact
    return folder


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in a folder, sorted by name, without hidden ones."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name.lower() not in IGNORED
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


def holding(*names: str) -> Callable[[Path], bool]:
    """Whether a folder has all these entries (`a/b` lies deeper), in any case."""
    return lambda folder: all(child(folder, *name.split("/")) for name in names)


def listing(folder: Path, most: int = 6) -> str:
    """The names in a folder, for an error line."""
    names = sorted(f"{entry.name}{'/' * entry.is_dir()}" for entry in folder.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "nothing"


def bring(source: Path, target: Path) -> None:
    """Link a file of the workspace; copy one from elsewhere (a tree in the mirror), for DVC makes
    the bytes that it keeps read-only."""
    if source.resolve().is_relative_to(Path.cwd()):
        link(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def bring_images(source: Path | None, target: Path) -> int:
    """Bring the images directly in `source` (None: there is no such folder); return how many."""
    images = list(images_in(source)) if source else []
    for image in images:
        bring(image, target / image.name)
    return len(images)


def bring_tree(source: Path, target: Path, wanted: Callable[[Path], bool]) -> int:
    """Bring the files below `source` that are `wanted`, in the same folders; return how many."""
    files = [file for folder in folders_below(source) for file in sorted(folder.iterdir())]
    files = [file for file in files if file.is_file() and wanted(file)]
    for file in files:
        bring(file, target / file.relative_to(source))
    return len(files)
