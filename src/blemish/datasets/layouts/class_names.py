"""The names of a detector's classes 0, 1, …, as YOLO's tools write them beside its labels."""

from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from blemish.core.errors import UserError

LISTS = frozenset({"classes.txt", "obj.names", "predefined_classes.txt"})  # one name a line
TABLES = frozenset({".yaml", ".yml"})  # a list or a mapping `names`
LONGEST = 100_000  # bytes; whoever names a few classes needs a hundredth of it


def class_names(files: Sequence[Path]) -> tuple[str, ...]:
    """The names in the first of the files that has any; names may hold spaces.

    Raises UserError naming a file that is damaged or too long.
    """
    for file in files:
        if file.name.lower() in LISTS:
            names = tuple(line.strip() for line in _text(file).splitlines())
        elif file.suffix.lower() in TABLES:
            names = _of_table(file)
        else:
            continue
        while names and not names[-1]:
            names = names[:-1]
        if names:
            return names
    return ()


def _text(file: Path) -> str:
    if file.stat().st_size > LONGEST:
        raise UserError(f"{file}: longer than {LONGEST} bytes: expected the names of the classes")
    return file.read_text(encoding="utf-8-sig", errors="replace")


def _of_table(file: Path) -> tuple[str, ...]:
    """`names: [a, b]` or `names: {0: a, 1: b}`; nothing where there is no such key."""
    try:
        content = YAML(typ="safe", pure=True).load(_text(file))
    except (YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{file}: not YAML ({reason}): fetch the unit again") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        keys = range(len(names))
        if set(names) != set(keys):
            raise UserError(f"{file}: `names` has the keys {list(names)[:9]}: expected 0, 1, 2 …")
        names = [names[key] for key in keys]
    if not isinstance(names, list):
        return ()
    if not all(isinstance(name, str | int) for name in names):
        raise UserError(f"{file}: `names` must be a list of words")
    return tuple(str(name).strip() for name in names)
