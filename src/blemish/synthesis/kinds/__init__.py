"""The kinds of synthetic defects, a file each, named as the kind.

A file defines `KIND`, a `blemish.synthesis.kind.Kind`. Those in this folder may be drawn for
training: each has a share in `synthesis.kinds` of params.yaml. Those in `untrained/` may not: the
held-out ones of the validation and weak-defect sets, and `clean`, the other side of a coin.
Names only here, from `blemish.core.kinds`.
"""

import importlib
from functools import cache
from typing import TYPE_CHECKING

from blemish.core.kinds import TRAINED, UNTRAINED

if TYPE_CHECKING:
    from blemish.synthesis.kind import Kind

__all__ = ["TRAINED", "UNTRAINED", "kind", "module_name"]


@cache
def kind(name: str) -> "Kind":
    """The kind of a name. Raises KeyError for an unknown one."""
    if name not in TRAINED + UNTRAINED:
        raise KeyError(name)
    kind: Kind = importlib.import_module(f"blemish.synthesis.kinds.{module_name(name)}").KIND
    return kind


def module_name(name: str) -> str:
    """Where a kind is defined, relative to this package."""
    return name if name in TRAINED else f"untrained.{name}"
