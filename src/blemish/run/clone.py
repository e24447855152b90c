"""A clone of the head's commit on a cluster's node, one for each worker process."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.files import process_is_alive

CLONES = Path(tempfile.gettempdir()) / f"blemish-clones-{os.getuid()}"
CHECKPOINTS = "checkpoints"  # as in blemish.methods.checkpoint, which would import torch
SHARED = f"blemish-{CHECKPOINTS}"  # where they lie in a shared cache


def clones() -> Path:
    """The folder of this user's clones on this machine. Raises UserError if it is another's."""
    CLONES.mkdir(mode=0o700, parents=True, exist_ok=True)
    if CLONES.stat().st_uid != os.getuid():
        raise UserError(f"{CLONES} belongs to another user: remove it, or set TMPDIR")
    return CLONES


def abandoned() -> list[Path]:
    """Clones, and sockets of nurseries, on this machine whose processes are gone."""
    found = CLONES.glob("*-*")
    return [clone for clone in found if not process_is_alive(clone.name.rpartition("-")[2])]


def make_clone(name: str, bundle: bytes, config: bytes, cache: str | None) -> Path:
    """A clone of the bundle's commit for this process; what dead processes left is removed.

    config: of `.dvc/config.local`. With a shared cache, checkpoints lie there: another node goes on
    where a lost one was.
    """
    for left in abandoned():
        if left.is_socket():
            left.unlink(missing_ok=True)
        shutil.rmtree(left, ignore_errors=True)
    clone = clones() / f"{name}-{os.getpid()}"
    shutil.rmtree(clone, ignore_errors=True)
    clone.mkdir()
    shipped = clone / "bundle"
    shipped.write_bytes(bundle)
    _git(clone, "init", "--quiet")
    _git(clone, "fetch", "--quiet", shipped.name, "refs/blemish/shipped")
    _git(clone, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    shipped.unlink()
    (clone / ".dvc" / "config.local").write_bytes(config)
    if cache:
        shared = Path(cache, SHARED)
        shared.mkdir(exist_ok=True)
        (clone / CHECKPOINTS).symlink_to(shared)
    return clone


def _git(clone: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=clone, check=True, capture_output=True, text=True)
