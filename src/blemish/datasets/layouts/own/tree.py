"""The files of a user's own folder, as a list of relative paths."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import is_image
from blemish.datasets.layouts.class_names import LISTS, TABLES
from blemish.datasets.layouts.own.look import looks_like_mask
from blemish.datasets.layouts.own.words import MASKS, SURE_MASKS, folded, word

BY_STEM = frozenset({".xml", ".txt"})  # annotations if they have an image's name, else just files


@dataclass(frozen=True)
class Tree:
    """The files below `root`, hidden ones left out, in a fixed order: what may be of use (`files`:
    images, masks, annotations), and the rest, which nothing here can read."""

    root: Path
    files: tuple[Path, ...]
    rest: tuple[Path, ...]
    _roles: dict[Path, bool] = field(default_factory=dict, compare=False)

    @cached_property
    def images(self) -> list[Path]:
        """The files with an image's suffix that lie in no folder of masks."""
        return [file for file in self.files if is_image(file) and not self.is_annotation(file)]

    @cached_property
    def masks(self) -> list[Path]:
        """The images in folders of masks."""
        return [file for file in self.files if is_image(file) and self.is_annotation(file)]

    @cached_property
    def texts(self) -> list[Path]:
        """The files that may hold annotations or the names of classes."""
        return [file for file in self.files if not is_image(file)]

    def is_annotation(self, file: Path) -> bool:
        """Whether a file lies in a folder of masks or annotations."""
        return any(self._holds_masks(folder) for folder in file.parents)

    def _holds_masks(self, folder: Path) -> bool:
        """Whether a folder is called like one of masks; a defect type may be called `label`, too:
        then its images are no masks."""
        if word(folder.name) not in MASKS:
            return False
        if folder not in self._roles:
            inside = (file for file in self.files if folder in file.parents and is_image(file))
            first = next(inside, None)
            self._roles[folder] = (
                word(folder.name) in SURE_MASKS
                or first is None
                or looks_like_mask(self.root / first)
            )
        return self._roles[folder]


def read_tree(root: Path) -> Tree:
    """All files below a folder. Links to folders are followed, but not in circles.

    Raises UserError naming a folder that cannot be listed.
    """
    files = sorted(_walk(root, Path(), (os.path.realpath(root),)))
    stems = {folded(name) for file in files if is_image(file) for name in (file.name, file.stem)}
    taken = [file for file in files if (root / file).is_file() and _is_taken(file, stems)]
    known = set(taken)
    return Tree(root, tuple(taken), tuple(file for file in files if file not in known))


def _walk(root: Path, folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{root / folder}: cannot be listed ({error.strerror})") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not os.path.isdir(entry.path):
            yield folder / entry.name
        elif (real := os.path.realpath(entry.path)) not in above:
            yield from _walk(root, folder / entry.name, (*above, real))


def _is_taken(file: Path, stems: set[str]) -> bool:
    suffix = file.suffix.lower()
    if is_image(file) or suffix == ".json" or file.name.lower() in LISTS:
        return True
    if suffix in TABLES:
        return len(file.parts) == 1
    in_folder = any(word(part) in MASKS for part in file.parts[:-1])
    return suffix in BY_STEM and (in_folder or folded(file.stem) in stems)
