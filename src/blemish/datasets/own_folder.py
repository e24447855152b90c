"""A user's own folder (`data.folders` in params.yaml) as a data set.

Three shapes are understood, for the folder itself (category `all`) or each sub-folder of it:
the MVTec layout; `good/` plus any defect folders, with masks in `ground_truth/<type>/`; only
`good/`.
"""

import os
import shutil
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.places import lead
from blemish.datasets.dataset import DataSet, Item, Layout, images_in, is_image
from blemish.datasets.layouts.mvtec_folders import (
    find_mask,
    kinds_of_masks,
    masks_by_stem,
    mvtec_items,
)

WHOLE = "all"


def folder_data_set(name: str, path: str) -> DataSet:
    """The data set `name` made of the folder `path` of params.yaml, which need not be here: only
    `fetch` asks for it."""

    def fetch(category: str, folder: Path) -> None:
        root = lead(path)
        if is_absent(path):
            raise UserError(
                f"{_named(name, root)}: there is no such folder, and {name}/{category} "
                "needs its photographs now"
            )
        # Copied, never linked: DVC makes its files read-only, and the user's must stay as they are.
        source = category_folder(root, category)
        for file in _image_files(source):
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)

    categories: tuple[str, ...] = ()
    fault = ""
    try:
        categories = categories_in(name, lead(path))
    except UserError as error:
        fault = str(error)
    return DataSet(
        name=name,
        title=f"{name} (own folder)",
        categories=categories,
        licence="the user's",
        citation="",
        home=str(lead(path)),
        fetch=fetch,
        layout=layout,
        fault=fault,
    )


def is_absent(path: str) -> bool:
    """Whether params.yaml names a folder that is not on this machine."""
    return not os.path.isdir(lead(path))


def categories_in(name: str, root: Path) -> tuple[str, ...]:
    """The categories of an own folder. Raises UserError if it is missing or has no such shape."""
    if not os.path.isdir(root):
        raise UserError(f"{_named(name, root)}: there is no such folder")
    try:
        if _is_category(root):
            return (WHOLE,)
        names = tuple(sorted(path.name for path in root.iterdir() if _is_category(path)))
    except OSError as error:
        raise UserError(f"{_named(name, root)}: cannot be read: {error.strerror}") from None
    if not names:
        raise UserError(
            f"{_named(name, root)}: found neither good/ nor train/good/ "
            "in it or in its sub-folders; put the normal images there"
        )
    return names


def _named(name: str, root: Path) -> str:
    return f"params.yaml: `data.folders.{name}` is '{root}'"


def category_folder(root: Path, category: str) -> Path:
    """The folder that holds one category."""
    return root if category == WHOLE and _is_category(root) else root / category


def inventory(root: Path, category: str) -> dict[str, Path]:
    """Relative name → file, of every image that belongs to a category.

    Raises UserError naming a file whose name is not UTF-8.
    """
    source = category_folder(root, category)
    files = {file.relative_to(source).as_posix(): file for file in _image_files(source)}
    for name, file in files.items():
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise UserError(f"{str(file)!r}: the file's name is not UTF-8: rename it")
    return files


def _image_files(source: Path) -> list[Path]:
    """The images one and two folders deep, where the three shapes have them. Hidden folders are
    left out; links to folders are followed."""
    files = sorted(file for depth in ("*/*", "*/*/*") for file in source.glob(depth))
    return [
        file
        for file in files
        if is_image(file) and file.is_file() and not _is_hidden(file.relative_to(source))
    ]


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _is_category(path: Path) -> bool:
    return (path / "good").is_dir() or (path / "train" / "good").is_dir()


def layout(folder: Path, _category: str) -> Layout:
    """Read whichever of the three shapes the folder has."""
    published = (folder / "train" / "good").is_dir()
    items = mvtec_items(folder) if published else _loose_items(folder)
    if not any(item.label == 0 for item in items):
        raise UserError(f"{folder}: no normal images in good/: at least a handful is needed")
    notes = [] if published else ["No published split: good images are divided by a seeded rule."]
    notes += _unused(folder, items)
    masks = kinds_of_masks(items)
    if not any(item.label for item in items):
        notes.append("There are no defective images: no metric can be given, only scores.")
    elif masks == "none":
        notes.append("There are no masks: only image metrics are given.")
    return Layout(items, masks=masks, notes=tuple(notes))


def _unused(folder: Path, items: list[Item]) -> list[str]:
    """A note about images that lie where no shape has any, so that none is lost unnoticed."""
    known = {item.image for item in items}
    names = [file.relative_to(folder) for file in _image_files(folder) if file not in known]
    names = [name for name in names if name.parts[0] != "ground_truth"]
    return [f"{len(names)} image(s) are not used, as {names[0]} lies elsewhere."] if names else []


def _loose_items(folder: Path) -> list[Item]:
    """`good/` and defect folders side by side; masks in `ground_truth/<type>/`."""
    items = [Item(image, "good") for image in images_in(folder / "good")]
    for kind in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        if kind in {"good", "ground_truth"}:
            continue
        annotations = folder / "ground_truth" / kind
        masks = masks_by_stem(annotations)
        items += [
            Item(image, kind, "test", find_mask(image, masks, annotations))
            for image in images_in(folder / kind)
        ]
    return items
