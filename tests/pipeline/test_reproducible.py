"""Equal inputs give equal bytes, wherever the clone lies and whatever was killed on the way."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .workspace import OWN, RENDERED, UNITS, Workspace

OUTPUTS = ("data/sources", "data/raw", "data/prepared", "data/synthetic", "data/textures")
OUTPUTS += ("models", "results", "metrics", "plots", "report")
PATIENCE = 120  # s


def hashes(workspace: Workspace) -> dict[str, str]:
    """SHA-256 of every file that the graph makes, by its path in the project."""
    files = (path for name in OUTPUTS for path in (workspace / name).rglob("*") if path.is_file())
    return {
        path.relative_to(workspace.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def whole_folders(root: Path) -> set[str]:
    """The folders with files that a reader may take for results: unfinished ones are hidden."""
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {file.parent.as_posix() for file in files if not any(p[0] == "." for p in file.parts)}


def stage_process(dvc: subprocess.Popen[str], stage: str) -> psutil.Process | None:
    """The Python process of the stage that DVC runs, where it is that stage."""
    for process in psutil.Process(dvc.pid).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[1:2] == [f"stages/{stage}.py"]:
            return process
    return None


def kill(
    workspace: Workspace, stage: str, reached: Callable[[], bool], *, dvc_too: bool = False
) -> None:
    """Run `dvc repro`; kill the stage, or DVC and the stage at once, when `reached`."""
    dvc = workspace.start("dvc", "repro")
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert dvc.poll() is None, f"dvc ended before {stage} could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process = stage_process(dvc, stage)
    assert process is not None
    if dvc_too:
        os.killpg(dvc.pid, signal.SIGKILL)
    else:
        process.kill()
    text, _ = dvc.communicate()
    assert dvc.returncode != 0
    assert dvc_too or f"failed to reproduce '{stage}@" in text


def files_in(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def disturbed(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Another fresh clone, elsewhere, whose stages were killed while they wrote and trained."""
    workspace = tiny.branch(tmp_path_factory.mktemp("disturbed") / "elsewhere" / "base")
    rendering = workspace / "data/synthetic"
    kill(workspace, "synthesize", lambda: files_in(rendering) > 3, dvc_too=True)
    assert files_in(rendering) > 3
    assert whole_folders(rendering) == set()
    assert f"synthesize@{OWN}" not in workspace.lock()

    models = workspace / "models"
    kill(workspace, "train", lambda: any((models / OWN).glob("*")))
    assert whole_folders(models) == set()
    assert f"train@{OWN}-glass-0" not in workspace.lock()
    kill(workspace, "train", lambda: any((models / RENDERED).glob("*")), dvc_too=True)
    assert whole_folders(models) == {f"{OWN}/glass-0"}
    assert f"train@{OWN}-glass-0" in workspace.lock()
    assert f"train@{RENDERED}-glass-0" not in workspace.lock()
    workspace.repro()
    return workspace


def test_killed_stages_change_no_byte(finished: Workspace, disturbed: Workspace) -> None:
    undisturbed, after = hashes(finished), hashes(disturbed)
    paths = undisturbed.keys() | after.keys()
    assert {path for path in paths if undisturbed.get(path) != after.get(path)} == set()
    for unit in UNITS:
        run = f"{unit}/glass-0"
        assert undisturbed.keys() >= {
            f"data/synthetic/{unit}/recipes.parquet",
            f"models/{run}/model.safetensors",
            f"models/{run}/model.json",
            f"results/{run}/metrics.json",
            f"results/{run}/scores.parquet",
        }


def test_two_clones_have_one_lock(finished: Workspace, disturbed: Workspace) -> None:
    assert disturbed.root != finished.root
    assert disturbed.lock() == finished.lock()


def test_nothing_of_the_killed_stages_is_left(disturbed: Workspace) -> None:
    assert list(disturbed.root.rglob("*.unfinished")) == []
