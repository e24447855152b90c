"""A user's own folder (`data.folders` in params.yaml) as a data set.

The folder itself is one category, `all`, or each sub-folder of it is one. `SHAPES` are tried in
order; docs/data.md shows them.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.places import resolve_path
from blemish.datasets.dataset import DataSet, Layout, is_image
from blemish.datasets.layouts.own.reading import Reading
from blemish.datasets.layouts.own.tree import Tree, read_tree
from blemish.datasets.layouts.own.typed import folders, has_good, read_typed
from blemish.datasets.layouts.own.untyped import is_annotated, read_untyped
from blemish.datasets.layouts.own.words import MASKS, is_split, word

WHOLE = "all"
LEFT_OUT = ".left-out.txt"  # in the copy of a folder: a line about what was not copied
MOST = 12  # of the places in a line


def _is_annotated(folder: Path) -> bool:
    return is_annotated(read_tree(folder))


Shape = tuple[Callable[[Path], bool], Callable[[Tree], Reading]]
SHAPES: tuple[Shape, ...] = ((has_good, read_typed), (_is_annotated, read_untyped))


def folder_data_set(name: str, path: str) -> DataSet:
    """The data set `name` made of the folder `path` of params.yaml, which need not be here: only
    `fetch` asks for it."""

    categories: tuple[str, ...] = ()
    fault = ""
    try:
        categories = categories_in(name, resolve_path(path))
    except UserError as error:
        fault = str(error)
    return DataSet(
        name=name,
        title=f"{name} (own folder)",
        categories=categories,
        licence="the user's",
        citation="",
        home=str(resolve_path(path)),
        fetch=partial(_fetch, name, path),
        layout=layout,
        fault=fault,
    )


def _fetch(name: str, path: str, category: str, folder: Path) -> None:
    """Copied, never linked: DVC makes its files read-only, and the user's must stay as they are."""
    root = resolve_path(path)
    if is_absent(path):
        raise UserError(
            f"{_named(name, root)}: there is no such folder, and {name}/{category} "
            "needs its photographs now"
        )
    files, rest = inventory(root, category), left_out(root, category)
    if rest and not files:
        raise UserError(f"{root}: no image of {category} that is read; left out: {rest}")
    for relative, file in files.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    if rest:
        (folder / LEFT_OUT).write_text(rest, encoding="utf-8")


def is_absent(path: str) -> bool:
    """Whether params.yaml names a folder that is not on this machine."""
    return not os.path.isdir(resolve_path(path))


def categories_in(name: str, root: Path) -> tuple[str, ...]:
    """The categories of an own folder. Raises UserError if it is missing or has no such shape."""
    if not os.path.isdir(root):
        raise UserError(f"{_named(name, root)}: there is no such folder")
    try:
        for fits, _ in SHAPES:
            if fits(root):
                return (WHOLE,)
            inner = {child.name: fits(child) for child in folders(root)}
            if any(inner.values()) and (fits is has_good or _rest_is_empty(root, inner)):
                return tuple(child for child, is_category in inner.items() if is_category)
        content = _content(root)
    except OSError as error:
        raise UserError(f"{_named(name, root)}: cannot be read: {error.strerror}") from None
    raise UserError(
        f"{_named(name, root)}: found neither good/ nor train/good/ in it or in its sub-folders, "
        f"but {content}: put the normal images into good/ (or ok, normal, nominal), defective "
        "ones into a folder of each type beside it"
    )


def _named(name: str, root: Path) -> str:
    return f"params.yaml: `data.folders.{name}` is '{root}'"


def _rest_is_empty(root: Path, inner: dict[str, bool]) -> bool:
    """Whether no images lie in the folders that are no categories: else the normal ones are there,
    under a name that is not known."""
    others = (root / name for name, is_category in inner.items() if not is_category)
    return not any(read_tree(other).images for other in others)


def _content(root: Path) -> str:
    """What lies in a folder, for an error line: sub-folders with the numbers of their images."""
    tree = read_tree(root)
    images = [file for file in tree.files if is_image(file)]
    counts = Counter(f"{_top(image)}/" if _top(image) else "no sub-folder" for image in images)
    empty = [f"{child.name}/" for child in folders(root) if f"{child.name}/" not in counts]
    words = [f"{place} ({count} images)" for place, count in sorted(counts.items())]
    words += [f"{place} (no images)" for place in empty]
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return (", ".join(words[:MOST]) or "nothing") + more


def _top(file: Path) -> str:
    """The folder of a file that a person looks into: two deep in `train/good/`, else one."""
    parts = file.parts[:-1]
    deep = bool(parts) and (is_split(parts[0]) or word(parts[0]) in MASKS)
    return "/".join(parts[: 1 + deep])


def category_folder(root: Path, category: str) -> Path:
    """The folder that holds one category."""
    whole = category == WHOLE and any(fits(root) for fits, _ in SHAPES)
    return root if whole else root / category


def inventory(root: Path, category: str) -> dict[str, Path]:
    """Relative name → file, of every image and annotation of a category.

    Raises UserError naming a file whose name is not UTF-8.
    """
    source = category_folder(root, category)
    if not source.is_dir():
        return {}
    files = {file.as_posix(): source / file for file in read_tree(source).files}
    for name, file in files.items():
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise UserError(f"{str(file)!r}: the file's name is not UTF-8: rename it")
    return files


def left_out(root: Path, category: str) -> str:
    """What lies in a category's folder and cannot be of use: `12 .txt in good/`; "" for nothing."""
    source = category_folder(root, category)
    return _counted(read_tree(source).rest) if source.is_dir() else ""


def _counted(files: Iterable[Path]) -> str:
    """Files by suffix and place, in one line."""
    places = Counter((file.suffix.lower() or "without suffix", _top(file)) for file in files)
    words = [
        f"{count} {suffix} in {place + '/' if place else 'the folder itself'}"
        for (suffix, place), count in sorted(places.items(), key=lambda item: item[0][::-1])
    ]
    more = [f"{len(words) - MOST} more kinds"] if len(words) > MOST else []
    line = ", ".join([*words[:MOST], *more])
    return line.encode("utf-8", "replace").decode()


def layout(folder: Path, _category: str) -> Layout:
    """Read whichever of the shapes the folder has."""
    tree = read_tree(folder)
    read = next((read for fits, read in SHAPES if fits(folder)), read_typed)
    reading = read(tree)
    items = reading.items
    kept = folder / LEFT_OUT
    uncopied = kept.read_text(encoding="utf-8") if kept.is_file() else _counted(tree.rest)
    unused = _counted(file for file in tree.files if file not in reading.used)
    rest = ", ".join(line for line in (uncopied, unused) if line)
    _check_normals(folder, reading, f"; left out: {rest}" if rest else "")
    notes = [*_split_note(reading), *reading.notes, *([f"left out: {rest}"] if rest else [])]
    if not any(item.label for item in items):
        notes.append("There are no defective images: no metric can be given, only scores.")
    elif reading.masks == "none":
        notes.append("There are no masks: only image metrics are given.")
    return Layout(items, masks=reading.masks, notes=tuple(notes))


def _check_normals(folder: Path, reading: Reading, rest: str) -> None:
    """Raise UserError where there is nothing to learn from."""
    if any(item.label == 0 and item.split in {None, "train"} for item in reading.items):
        return
    if (folder / "train").is_dir():
        raise UserError(f"{folder}/train/good: no images: the training normals belong there{rest}")
    raise UserError(f"{folder}: no normal images in good/: at least a handful is needed{rest}")


def _split_note(reading: Reading) -> list[str]:
    published = any(item.split == "train" for item in reading.items if not item.label)
    return [] if published else ["No published split: good images are divided by a seeded rule."]
