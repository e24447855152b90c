"""The names of the kinds of synthetic defects, known without importing one.

Each is a file of `synthesis/kinds`, named as the kind; those of its folder `untrained` are never
drawn for training. So params.yaml, and the record of a trained model, are checked without what
draws defects.
"""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "synthesis" / "kinds"


def names_in(folder: Path) -> tuple[str, ...]:
    """The kinds that a folder defines, sorted."""
    return tuple(sorted(file.stem for file in folder.glob("[!_]*.py")))


TRAINED = names_in(FOLDER)
UNTRAINED = names_in(FOLDER / "untrained")
