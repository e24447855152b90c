"""What a path in params.yaml means: the same in the project and in the copies that DVC works in."""

import os
from pathlib import Path


def project_folder(root: Path) -> Path:
    """The project's folder: `root`, or what it is a copy of.

    `dvc exp run --temp` and `--queue` work in copies under `.dvc/tmp/exps`, which DVC deletes.
    """
    root = root.resolve()
    for folder in root.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return root


def resolve_path(text: str) -> Path:
    """Where a path of params.yaml leads: `~` is the user's home, a relative one starts at the
    project's folder, and no other sign stands for anything."""
    return project_folder(Path.cwd()) / os.path.expanduser(text)
