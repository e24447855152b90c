"""The index of a texture bank: which file serves which purpose.

A texture class serves training or validation, never both: the validation set is made of textures
that training never sees.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from blemish.core.errors import UserError

INDEX = "textures.csv"


def write_index(files: Sequence[Path], folder: Path, validation: float, seed: int) -> None:
    """Write the index of `files`, each in the folder of its class below `folder`.

    `validation` is the share of the classes that training does not see. Raises UserError where
    there are fewer than two classes.
    """
    held_out = held_out_classes({file.parent.name for file in files}, validation, seed)
    rows = [
        {
            "file": file.relative_to(folder).as_posix(),
            "class": file.parent.name,
            "purpose": "validation" if file.parent.name in held_out else "train",
        }
        for file in files
    ]
    pd.DataFrame(rows).to_csv(folder / INDEX, index=False)


def held_out_classes(classes: set[str], share: float, seed: int) -> set[str]:
    """The classes for validation: the first `share` in the order of a seeded hash, at least one,
    and not all."""
    if len(classes) < 2:
        raise UserError(
            f"textures: found {len(classes)} class(es), but training and validation each need "
            "one of their own: add texture folders"
        )
    ordered = sorted(classes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    count = min(max(1, round(share * len(classes))), len(classes) - 1)
    return set(ordered[:count])
