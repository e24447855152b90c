"""What a cluster's workers run: one commit, as a git bundle that needs no shared disk."""

import os
import subprocess
import tempfile
from pathlib import Path

from blemish.core.errors import UserError

MADE = ("dvc.lock", "metrics/")  # written by runs, wherever they run
REF = "refs/blemish/shipped"


def ship(overridden: bool, include_uncommitted: bool) -> bytes:
    """A bundle of the workspace's commit; `refs/blemish/shipped` in it is what workers check out.

    overridden: params.yaml holds overrides of this command and travels as it is.
    Raises UserError naming uncommitted files, unless they are to be included.
    """
    dirty = [path for path in uncommitted() if not path.startswith(MADE)]
    taken = (
        dirty if include_uncommitted else [p for p in dirty if overridden and p == "params.yaml"]
    )
    left = [path for path in dirty if path not in taken]
    if left:
        shown = ", ".join(left[:8]) + (f" and {len(left) - 8} more" if len(left) > 8 else "")
        raise UserError(
            f"not committed: {shown}: workers run the commit, so commit these, or add "
            "--include-uncommitted"
        )
    commit = _commit_with(taken) if taken else git("rev-parse", "HEAD")
    git("update-ref", REF, commit)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle")
        git("bundle", "create", "--quiet", str(bundle), REF)
        return bundle.read_bytes()


def uncommitted() -> list[str]:
    """Changed, added, removed and untracked files, ignored ones not counted."""
    listed = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return [entry[3:] for entry in listed.split("\0") if entry]


def git(*words: str, environment: dict[str, str] | None = None) -> str:
    """Run git here. Raises UserError with its own words."""
    done = subprocess.run(
        ["git", *words], capture_output=True, text=True, env=os.environ | (environment or {})
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise UserError(f"git {words[0]}: {reason[-1]}")
    return done.stdout.strip("\n")


def _commit_with(paths: list[str]) -> str:
    """HEAD and these files as they are, in a commit of no branch; index and stash stay as found."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git("read-tree", "HEAD", environment=own)
        git("add", "--all", "--", *paths, environment=own)
        tree = git("write-tree", environment=own)
    named = {"GIT_COMMITTER_NAME": "blemish", "GIT_COMMITTER_EMAIL": "blemish@localhost"}
    named |= {"GIT_AUTHOR_NAME": "blemish", "GIT_AUTHOR_EMAIL": "blemish@localhost"}
    message = "Uncommitted work, shipped to a cluster"
    return git("commit-tree", tree, "-p", "HEAD", "-m", message, environment=named)
