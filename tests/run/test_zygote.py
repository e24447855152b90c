"""What a fork of the zygote costs, and what it may do."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML

from blemish.run import clone
from blemish.run.forks import Forks
from blemish.run.nursery import _fork
from tests.run.workspace import Workspace, is_alive, make, wait_for

# `dvc repro` in a fork: its exit code, the threads that the fork lost, the modules it imported.
COUNT = """
import os, sys, threading
from pathlib import Path
from blemish.run import zygote

zygote.preload()
before, threads, log = set(sys.modules), threading.active_count(), Path(sys.argv[1])
log.touch()
if not os.fork():
    stream = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(stream, 1)
    code = zygote.dvc(["repro", "--single-item", "first"], log)
    missing = sorted(set(sys.modules) - before)
    log.write_text(f"{code} {threads} {len(missing)} {missing}")
    os._exit(0)
os.wait()
"""


@pytest.fixture
def space(tmp_path) -> Workspace:
    return make(tmp_path / "space")


@pytest.fixture
def forks(space) -> Iterator[Forks]:
    found = Forks(space.environment())
    found.folder = space.root
    yield found
    found.close()


def restore(forks: Forks, stages: list[str], log: Path) -> int:
    """The exit code of restoring these stages."""
    forks.restore(stages, log, [])
    while not (ended := forks.ended(1.0)):
        pass
    return ended[0][1]


def test_a_fork_has_all_of_dvc_at_hand(space, tmp_path) -> None:
    """DVC imports late, half a second for each stage: some 500 modules, did the zygote not."""
    log = tmp_path / "log"
    subprocess.run(
        [sys.executable, "-c", COUNT, str(log)],
        cwd=space.root, env=space.environment(), check=True,
    )  # fmt: skip
    code, threads, missing, names = log.read_text().split(maxsplit=3)
    assert (code, threads) == ("0", "1")
    assert int(missing) < 20, names


def test_restoring_writes_the_lock_file_once_as_a_serial_run_does(space, forks, tmp_path) -> None:
    space.dvc("repro", "--quiet")
    before = space.digest()
    space.forget_begun()
    for folder in ("first", "models", "report"):
        shutil.rmtree(space.root / folder)
    lock = space.root / "dvc.lock"
    whole = lock.read_text()
    lock.unlink()
    stages = ["first", *(f"train@{unit}-{seed}" for unit in ("a/x", "b/y") for seed in (0, 1))]
    assert restore(forks, [*stages, "report"], tmp_path / "log") == 0
    assert (tmp_path / "log").read_text().count("Updating lock file") == 1
    assert space.begun() == []
    assert whole.startswith(lock.read_text())  # all but the stage that always runs
    after = space.digest()
    assert after.pop("dvc.lock") != before.pop("dvc.lock")
    assert after == before


def test_a_killed_zygote_takes_its_stages_along(space, forks, tmp_path) -> None:
    space.trouble("first", "import time; time.sleep(60)")
    forks.start("first", tmp_path / "log", space.environment(), "repro", "first")
    stage = space.process_of("first")
    above = psutil.Process(stage).parents()
    [one for one in above if "blemish.run.zygote" in one.cmdline()][-1].kill()
    wait_for(lambda: not is_alive(stage), "the stage outlived the zygote", 50)
    assert not forks.alive


def test_dvc_reads_its_files_with_the_c_parser() -> None:
    """Without it, reading dvc.lock is most of the time of a run with nothing to do."""
    assert YAML(typ="safe").Parser.__name__ == "CParser"


def test_a_zygote_of_a_nursery_says_why_it_fell(tmp_path, capfd) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as line:
        listener.bind(str(tmp_path / "line"))
        listener.listen()
        line.connect(str(tmp_path / "line"))
        fallen = _fork(listener, lambda: json.loads("no order"))
        assert os.waitstatus_to_exitcode(os.waitpid(fallen, 0)[1]) == 1
    assert "json.decoder.JSONDecodeError: Expecting value" in capfd.readouterr().err


def nursery_of(zygote: int) -> psutil.Process:
    above = psutil.Process(zygote).parents()
    return [one for one in above if "blemish.run.zygote" in one.cmdline()][-1]


def test_the_zygotes_of_a_run_share_their_imports(space, tmp_path, monkeypatch) -> None:
    """One process imports DVC for all; killed, it takes no stage along and is replaced; when no
    zygote is left, it ends."""
    clones = tmp_path / f"blemish-clones-{os.getuid()}"  # as the nursery finds it
    monkeypatch.setattr(clone, "CLONES", clones)
    environment = space.environment() | {"TMPDIR": str(tmp_path)}
    forks = [Forks(environment, "run") for _ in range(2)]
    outs = ("models/a/x-0", "models/b/y-1")
    space.dvc("repro", "--quiet", "first")
    for one, out in zip(forks, outs, strict=True):
        space.trouble(out, "import time; time.sleep(60)")
        one.folder = space.root
        stage = out.replace("models/", "train@")
        one.start(out, tmp_path / "log", space.environment(), "repro", "--single-item", stage)
    running = [space.process_of(out) for out in outs]
    (nursery,) = {nursery_of(stage) for stage in running}
    nursery.kill()
    nursery.wait()
    forks.append(Forks(environment, "run"))
    assert forks[-1].alive
    assert all(map(is_alive, running))
    for one in forks:
        one.close()
    wait_for(lambda: not any(map(is_alive, running)), "stages outlived their workers", 50)
    wait_for(lambda: len(list(clones.glob("run.nursery-*"))) == 1, "the nursery lives on")
    assert list(clones.glob("run.nursery-*")) == clone.abandoned()  # the killed one's


def test_what_the_cache_does_not_have_is_not_run(space, forks, tmp_path) -> None:
    """A stage that cannot be restored costs the others nothing."""
    space.dvc("repro", "--quiet", "first", "train@a/x-0")
    space.forget_begun()
    (space.root / "dvc.lock").unlink()
    stages = ["first", "train@b/y-1", "train@a/x-0"]
    assert restore(forks, stages, tmp_path / "log") != 0
    log = (tmp_path / "log").read_text()
    assert "the cache has no result of train@b/y-1" in log
    assert space.begun() == []
    assert set(space.digest()) == {"dvc.lock", "first/made", "models/a/x-0/made"}
