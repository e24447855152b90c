"""Faults, caused for real: what has run is kept, the rest goes on, a second run completes it."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.workspace import is_alive, make, wait_for

SLEEP = "import time; time.sleep(60)"
KILL_ITSELF = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
OUT_OF_MEMORY = (
    "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30,) * 2); bytearray(1 << 31)"
)
DISK_FULL = "open('/dev/full', 'w').write('x' * 100000)"


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, str]:
    """What a serial run makes."""
    serial = make(tmp_path_factory.mktemp("serial") / "space")
    serial.dvc("repro", "--quiet")
    return serial.digest()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("raise SystemExit('error: x.png is broken: fetch it again')", "error: x.png is broken"),
        (OUT_OF_MEMORY, "MemoryError"),
        (DISK_FULL, "OSError: [Errno 28] No space left on device"),
    ],
)
def test_a_failed_stage_is_named_and_the_others_go_on(
    tmp_path, expected: dict[str, str], code: str, line: str
) -> None:
    space = make(tmp_path / "space")
    space.trouble("models/a/x-1", code)
    status, text = space.run()
    assert status == 1
    assert "train@a/x-1 FAILED after" in text
    assert line in text
    assert "the whole log: logs/train@a/x-1.log" in text
    assert "failed: train@a/x-1\n" in text
    assert "not begun, as they need those: report\n" in text
    assert "tracked" not in text
    space.no_trouble()
    space.forget_begun()
    status, text = space.run()
    assert (status, space.begun()) == (0, ["models/a/x-1", "report"])
    assert space.digest() == expected


def test_a_killed_stage_begins_again(tmp_path) -> None:
    space = make(tmp_path / "space")
    space.trouble("models/b/y-0", f"once {KILL_ITSELF}")
    status, text = space.run()
    assert status == 0, text
    assert "train@b/y-0 was killed: it begins again" in text
    assert space.begun().count("models/b/y-0") == 2
    space.assert_done()


def test_a_stage_that_is_always_killed_fails_after_its_retries(tmp_path) -> None:
    space = make(tmp_path / "space")
    space.trouble("models/b/y-0", KILL_ITSELF)
    status, text = space.run(retries=2)
    assert status == 1
    assert space.begun().count("models/b/y-0") == 3
    assert "failed: train@b/y-0" in text


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of half a MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_under_the_cache_is_named_and_costs_only_what_it_hit(
    tmp_path, small_disk
) -> None:
    space = make(tmp_path / "space")
    space.dvc("cache", "dir", "--local", str(small_disk / "cache"))
    big = "out = out / 'big'; out.mkdir(parents=True); (out / 'one').write_bytes(b'x' * (1 << 20))"
    space.trouble("models/a/x-1", f"{big}; out = out / 'more'")
    status, text = space.run()
    assert status == 1
    failed = text.split("\nfailed: ")[1].split("\n")[0].split(", ")
    # Whoever wrote to the full disk at that moment failed with it.
    assert "train@a/x-1" in failed
    assert "No space left on device" in text
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    space.forget_begun()
    status, text = space.run()
    assert status == 0, text
    missing = [stage.replace("train@", "models/") for stage in failed]
    assert sorted(space.begun()) == sorted([*missing, "report"])
    assert (space.root / "models/a/x-1/big/one").stat().st_size == 1 << 20
    space.assert_done()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_stages_and_goes_on_later(tmp_path, number: int) -> None:
    space = make(tmp_path / "space")
    space.trouble("models/a/x-0", SLEEP)
    process = space.start()
    sleeping = space.process_of("models/a/x-0")
    wait_for(lambda: len(space.begun()) == 5, "the others never began")
    assert process.stdout is not None
    text = ""
    while "[4/6]" not in text:
        line = process.stdout.readline()
        assert line, text
        text += line
    process.send_signal(number)
    text += process.stdout.read()
    process.wait(50)
    assert process.returncode == 130, text
    assert "interrupted: 4 of 6 stages had ended" in text
    assert not is_alive(sleeping)
    space.no_trouble()
    space.forget_begun()
    status, text = space.run()
    assert (status, space.begun()) == (0, ["models/a/x-0", "report"]), text


def test_a_killed_runner_takes_its_stages_along(tmp_path) -> None:
    space = make(tmp_path / "space")
    space.trouble("models/a/x-0", SLEEP)
    process = space.start()
    sleeping = space.process_of("models/a/x-0")
    process.kill()
    process.wait()
    wait_for(lambda: not is_alive(sleeping), "the stage outlived its runner")
    space.no_trouble()
    status, text = space.run()
    assert status == 0, text
    space.assert_done()


def test_a_hundred_stages_survive_random_kills(tmp_path) -> None:
    """Stages, and the DVC processes around them, are killed at random while all run on 4 jobs."""
    serial, space = make(tmp_path / "serial", seeds=49), make(tmp_path / "space", seeds=49)
    serial.dvc("repro", "--quiet")
    kills, stop = [], threading.Event()

    def kill_now_and_then() -> None:
        chance = random.Random(0)
        while not stop.wait(chance.uniform(0.3, 1.2)):
            lines = space._lines()
            victim = int(lines[-1].split()[1]) if lines else 0
            if victim and is_alive(victim):
                # The stage's command; or the DVC that waits for it: the leader of its group.
                target = victim if chance.random() < 0.5 else os.getpgid(victim)
                os.kill(target, signal.SIGKILL)
                kills.append(target)

    for number in range(0, 49, 2):
        space.trouble(f"models/a/x-{number}", "once import time; time.sleep(0.7)")
    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        for _ in range(5):
            status, text = space.run(retries=1)
            if status == 0:
                break
    finally:
        stop.set()
        killer.join()
    assert status == 0, text
    assert len(kills) >= 3
    assert space.digest() == serial.digest()
    space.assert_done()
