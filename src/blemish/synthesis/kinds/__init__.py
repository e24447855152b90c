"""The kinds of synthetic defects, a file each, named as the kind.

A file defines `KIND`, a `blemish.synthesis.kind.Kind`. Those in this folder may be drawn for
training: each has a share in `synthesis.kinds` of params.yaml. Those in `untrained/` may not: the
held-out ones of the validation and weak-defect sets, and `clean`, the other side of a coin.
Names only here: params.yaml is checked without PyTorch.
"""

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blemish.synthesis.kind import Kind

FOLDER = Path(__file__).parent


def names_in(folder: Path) -> tuple[str, ...]:
    """The kinds that a folder defines, sorted."""
    return tuple(sorted(file.stem for file in folder.glob("[!_]*.py")))


TRAINED = names_in(FOLDER)
UNTRAINED = names_in(FOLDER / "untrained")


@cache
def kind(name: str) -> "Kind":
    """The kind of a name. Raises KeyError for an unknown one."""
    if name not in TRAINED + UNTRAINED:
        raise KeyError(name)
    found: Kind = importlib.import_module(f"blemish.synthesis.kinds.{module_name(name)}").KIND
    return found


def module_name(name: str) -> str:
    """Where a kind is defined, relative to this package."""
    return name if name in TRAINED else f"untrained.{name}"
