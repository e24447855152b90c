"""How the nodes of a cluster tell that they see what the head sees: by a file of the head's in it.

An unmounted folder is an empty folder; results written there would be lost. The functions on
remotes look into DVC and run in a child of the zygote.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.data_cloud import Remote

MARK = "blemish-head"
NOTE = b"By this file the nodes of a cluster know that they see what `blemish run` sees.\n"


def mark_cache(folder: Path) -> None:
    """Leave the mark in a cache that all nodes see."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_bytes(NOTE)


def mark_remote(name: str) -> None:
    """Leave the mark in a DVC remote.

    Raises ValueError for a remote that `dvc repro --pull` would not read, and what the remote
    itself raises where it cannot be written.
    """
    from dvc.repo import Repo

    with Repo() as repo:
        remote = repo.cloud.get_remote(name)
        default = repo.config["core"].get("remote")
        if name != default:
            raise ValueError(
                f"`dvc repro --pull` reads the default remote, which is {default or 'not set'}: "
                f"dvc remote default --local {name}"
            )
        place = _place(remote)
        remote.fs.makedirs(remote.fs.parent(place), exist_ok=True)
        remote.fs.pipe_file(place, NOTE)


def see_remote(name: str) -> None:
    """Raises what the remote raises if it cannot be read, FileNotFoundError if it has no mark."""
    from dvc.repo import Repo

    with Repo() as repo:
        remote = repo.cloud.get_remote(name)
        with remote.fs.open(_place(remote), "rb") as stream:
            stream.read()


def _place(remote: "Remote") -> str:
    return str(remote.fs.join(remote.path, MARK))
