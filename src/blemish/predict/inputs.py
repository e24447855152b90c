"""Which images the user means: folders, globs, list files, single files."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blemish.core.errors import UserError
from blemish.images.formats import IMAGE_SUFFIXES

LISTS = (".txt", ".lst")


@dataclass(frozen=True)
class Source:
    """An image file, and the relative path under which results of it are written."""

    path: Path
    name: Path


def find_images(words: Sequence[str], outputs: Sequence[Path]) -> list[Source]:
    """The images that `words` name, each once, in the order of the words.

    A folder stands for all images in it and below, but not for those in `outputs`, which an
    earlier run wrote. Links to folders are followed, hidden ones are left out. A `.txt` or `.lst`
    file lists a path a line, relative to its own folder. Names are relative to the folder, to the
    part of a glob before its first wildcard, or to the deepest folder common to all single and
    listed files.

    Raises:
        UserError: a word that stands for nothing, or a folder or list that cannot be read.
    """
    files: list[tuple[Path, Path]] = []  # a file and the folder that its name is relative to
    singles: list[Path] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            files += _some([(file, path) for file in images_below(path, outputs, _stop)], word)
        elif path.is_file():
            singles += _listed(path) if path.suffix.lower() in LISTS else [path]
        elif glob.has_magic(word):
            base = _fixed_part(path)
            files += _some([(file, base) for file in _matches(word)], word)
        else:
            raise UserError(f"{word}: no such file or folder")
    if singles:
        base = Path(os.path.commonpath([os.path.abspath(file.parent) for file in singles]))
        files += [(file, base) for file in singles]
    once = {os.path.abspath(file): Source(file, _name(file, base)) for file, base in files[::-1]}
    return list(once.values())[::-1]


def check_distinct(sources: Sequence[Source]) -> None:
    """Raise UserError where the results of two images would have one name."""
    taken: dict[Path, Source] = {}
    for source in sources:
        other = taken.setdefault(source.name.with_suffix(""), source)
        if other is not source:
            raise UserError(
                f"{other.path} and {source.path}: the results of both would be named "
                f"{source.name.with_suffix('')}: predict them in two runs, into different folders"
            )


def _some(files: list[tuple[Path, Path]], word: str) -> list[tuple[Path, Path]]:
    if not files:
        raise UserError(f"{word}: no images there ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def images_below(
    folder: Path, outputs: Sequence[Path], on_error: Callable[[OSError], None]
) -> Iterator[Path]:
    """The images in a folder and below, in the order of their names, but for those in `outputs`.

    on_error: what becomes of folders that cannot be listed.
    """
    written = {os.path.realpath(output) for output in outputs} - {os.path.realpath(folder)}
    walked = {os.path.realpath(folder)}  # links may form a circle, or lead to a folder twice
    for at, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in list(folders):
            real = os.path.realpath(os.path.join(at, name))
            if real in written or real in walked:
                folders.remove(name)
            walked.add(real)
        yield from (Path(at, file) for file in sorted(files) if _is_image(Path(file)))


def _stop(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror})")


def _matches(pattern: str) -> list[Path]:
    files = (Path(file) for file in sorted(glob.glob(pattern, recursive=True)))
    return [file for file in files if _is_image(file) and file.is_file()]


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    parts = pattern.parent.parts
    fixed = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:fixed])


def _listed(file: Path) -> list[Path]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a list of paths in UTF-8 ({error})") from None
    paths = [file.parent / line.strip() for line in lines if line.strip()]
    if not paths or any("\0" in str(path) for path in paths):
        raise UserError(f"{file}: not a list of paths: write one a line")
    return paths


def _name(file: Path, base: Path) -> Path:
    """The file below `base`; its mere name if a pattern with `..` led out of it."""
    name = Path(os.path.relpath(file, base))
    return Path(name.name) if ".." in name.parts else name
