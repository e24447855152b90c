"""What DVC leaves half-done when it is killed, shown on the installed DVC, and that it is mended.

If DVC's version has changed, see whether its weaknesses are still there: what is gone need not be
mended any more.
"""

import subprocess
import sys
from pathlib import Path

import dvc
import pytest

from blemish.run.mending import LOCK, RWLOCK, mend
from tests.run.workspace import Workspace, make

TESTED = "3.67.1"


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Workspace:
    space = make(tmp_path_factory.mktemp("done") / "space")
    space.dvc("repro", "--quiet")
    return space


@pytest.fixture
def space(done: Workspace, tmp_path, monkeypatch) -> Workspace:
    """A copy in which everything has run, as the current folder."""
    subprocess.run(["cp", "-a", done.root, tmp_path / "space"], check=True)
    monkeypatch.chdir(tmp_path / "space")
    copied = Workspace(tmp_path / "space")
    copied.forget_begun()
    return copied


def repro(space: Workspace) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=space.root, env=space.environment(), capture_output=True, text=True,
    )  # fmt: skip


def test_the_version_that_this_was_seen_on() -> None:
    assert dvc.__version__ == TESTED, "look at each weakness below again, then change TESTED"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_torn_lock_file_is_cut_to_whole_stages_and_nothing_runs_again(
    space: Workspace, share: float
) -> None:
    whole = LOCK.read_bytes()
    LOCK.write_bytes(whole[: int(len(whole) * share)])
    mend(Path(".dvc/cache"))
    assert not LOCK.exists() or whole.startswith(LOCK.read_bytes())
    assert repro(space).returncode == 0
    assert space.begun() == []
    assert LOCK.read_bytes() == whole


def test_dvc_itself_stops_on_a_torn_lock_file(space: Workspace) -> None:
    whole = LOCK.read_text()
    LOCK.write_text(whole[: whole.index("outs:") + 3])
    stopped = repro(space)
    assert stopped.returncode != 0
    assert "dvc.lock" in stopped.stderr


@pytest.mark.usefixtures("space")
def test_a_whole_lock_file_stays_as_it_is() -> None:
    before = LOCK.read_bytes(), LOCK.stat().st_mtime_ns
    mend(Path(".dvc/cache"))
    assert (LOCK.read_bytes(), LOCK.stat().st_mtime_ns) == before


def test_a_torn_list_of_paths_in_use_stops_dvc_until_it_is_removed(space: Workspace) -> None:
    RWLOCK.write_text('{"write": {"/some')
    assert repro(space).returncode != 0
    mend(Path(".dvc/cache"))
    assert repro(space).returncode == 0


def test_an_empty_folder_in_the_run_cache_stops_dvc_until_it_is_removed(space: Workspace) -> None:
    runs = [path for path in Path(".dvc/cache/runs").glob("*/*") if path.is_dir()]
    assert len(runs) == 6
    for entry in (entry for folder in runs for entry in folder.iterdir()):
        entry.unlink()
    LOCK.unlink()
    stopped = repro(space)
    assert stopped.returncode != 0
    assert "TypeError" in stopped.stderr or "NoneType" in stopped.stderr
    mend(Path(".dvc/cache"))
    assert repro(space).returncode == 0
    assert len(space.begun()) == 6
