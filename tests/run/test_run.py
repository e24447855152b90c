"""What `blemish run` plans, says and estimates; that one run at a time works in a workspace."""

import io
import os
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from blemish.run.screen import Screen
from tests.run.workspace import Workspace, make


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Workspace, str]:
    """Everything has run once, on one slot, and what that printed."""
    space = make(tmp_path_factory.mktemp("done") / "space")
    code, text = space.run(jobs=1)
    assert code == 0, text
    return space, text


@pytest.fixture
def space(done: tuple[Workspace, str], tmp_path) -> Workspace:
    subprocess.run(["cp", "-a", done[0].root, tmp_path / "space"], check=True)
    copied = Workspace(tmp_path / "space")
    copied.forget_begun()
    return copied


def test_one_slot_has_the_same_lines_as_many(done: tuple[Workspace, str]) -> None:
    lines = done[1].splitlines()
    assert lines[0] == "6 of 7 stages, at once 1 on cpu: first, train ×4, report"
    ends = [line.split()[:2] for line in lines if " done in " in line]
    stages = ["first", *(f"train@{unit}-{seed}" for unit in ("a/x", "b/y") for seed in (0, 1))]
    assert ends == [[f"[{n}/6]", stage] for n, stage in enumerate([*stages, "report"], start=1)]
    assert "6 ran, 0 restored from the cache, 0 unchanged, 0 failed in 0:" in done[1]
    assert lines[-1].strip() == "tracked"


def test_logs_hold_what_the_stage_printed_and_nothing_of_dvc(done: tuple[Workspace, str]) -> None:
    log = done[0].log("train@a/x-0")
    assert re.fullmatch(r"makes models/a/x-0 with CUDA_VISIBLE_DEVICES=None and \d+ .*\n", log)


def test_nothing_to_do_is_said_though_track_always_runs(space: Workspace) -> None:
    code, text = space.run(jobs=1)
    assert (code, space.begun()) == (0, [])
    assert text.splitlines() == ["    tracked", "nothing to do: all 7 stages are up to date"]


def test_a_target_brings_its_ancestors_only(space: Workspace) -> None:
    (space.root / "stage.py").write_text((space.root / "stage.py").read_text() + "\n")
    code, text = space.run("train@a/x-1")
    assert code == 0, text
    assert text.startswith("2 of 2 stages, at once 4 on cpu: first, train\n")
    assert space.begun() == ["first", "models/a/x-1"]


def test_an_unknown_target_is_dvcs_error(space: Workspace) -> None:
    code, text = space.run("trian")
    assert code == 1
    assert "UserError: DVC cannot read the graph: " in text
    assert "'trian'" in text


def test_outside_a_project_nothing_is_made(tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, text = Workspace(elsewhere).run()
    assert code == 1
    assert "UserError: there is no .dvc folder here: run from the project's folder" in text
    assert list(elsewhere.iterdir()) == []


def test_a_second_run_says_who_is_at_work_and_waits(space: Workspace) -> None:
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    space.trouble("models/a/x-0", "import time; time.sleep(4)")
    first = space.start()
    space.process_of("models/a/x-0")
    code, text = space.run()
    said, _ = first.communicate(timeout=60)
    assert (first.returncode, code) == (0, 0), said + text
    line = text.splitlines()[0]
    assert re.match(rf"another run is at work here \(process {first.pid}, since [\d:]+\)", line)
    assert "nothing to do: all 7 stages are up to date" in text
    assert len(space.begun()) == 4  # no stage ran twice


def test_a_run_beside_dvc_repro_waits_for_it(space: Workspace) -> None:
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    space.trouble("models/a/x-0", "import time; time.sleep(6)")
    other = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "train@a/x-0"],
        cwd=space.root, env=space.environment(), text=True, stdout=-1, stderr=-2,
    )  # fmt: skip
    space.process_of("models/a/x-0")
    code, text = space.run()
    said, _ = other.communicate(timeout=60)
    assert (other.returncode, code) == (0, 0), said + text
    assert "this run waits for another DVC: " in text
    assert f"PID {other.pid}" in text
    assert sorted(space.begun()) == [
        f"models/{name}" for name in ("a/x-0", "a/x-1", "b/y-0", "b/y-1")
    ]
    space.assert_done()


def test_a_stage_that_another_dvc_holds_is_tried_again(space: Workspace) -> None:
    """The other one begins when the run has begun: only its own stage waits."""
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    space.trouble("models/a/x-0", "once import time; time.sleep(6)")
    space.trouble("models/b/y-1", "once import time; time.sleep(12)")
    run = space.start(jobs=1)
    space.process_of("models/a/x-0")
    other = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", "train@b/y-1"],
        cwd=space.root, env=space.environment(), text=True, stdout=-1, stderr=-2,
    )  # fmt: skip
    text, _ = run.communicate(timeout=120)
    said, _ = other.communicate(timeout=60)
    assert (other.returncode, run.returncode) == (0, 0), said + text
    assert text.count("train@b/y-1 waits for another DVC: ") == 1
    assert space.begun().count("models/b/y-1") == 1
    space.assert_done()


def test_a_run_whose_predecessor_was_killed_begins_at_once(space: Workspace) -> None:
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    space.trouble("models/a/x-0", "once import time; time.sleep(60)")
    process = space.start()
    space.process_of("models/a/x-0")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    code, text = space.run()
    assert code == 0, text
    assert "another run" not in text


def test_time_left_comes_from_stages_of_the_same_kind() -> None:
    now = [0.0]
    stages = [f"{kind}@a/{u}-glass-0" for kind in ("train", "evaluate") for u in "bcd"]
    screen = Screen(Console(file=io.StringIO()), stages, clock=lambda: now[0])
    said = []
    for stage, seconds in zip(stages, [100, 140, 120, 6, 6, 6], strict=True):
        screen.started(stage, "cpu 0")
        said.append(screen.time_left())
        now[0] += seconds
        screen.ended(stage, "ran", seconds)
    assert said == [
        "",  # nothing has been timed
        ", at least 3 min left",  # two trainings, and evaluations of unknown length
        ", at least 2 min left",
        "",
        ", about 10 s left",
        ", about 5 s left",
    ]


def test_a_stage_that_was_restored_changes_no_estimate() -> None:
    stages = [f"train@a/b-glass-{seed}" for seed in range(4)]
    screen = Screen(Console(file=io.StringIO()), stages, at_once=2)
    for stage, outcome, seconds in zip(stages, ("unchanged", "cached"), (0.1, 0.2), strict=False):
        screen.started(stage, "cpu 0")
        screen.ended(stage, outcome, seconds)
    assert screen.time_left() == ""
    screen.started(stages[2], "cpu 0")
    screen.ended(stages[2], "ran", 4000)
    assert screen.time_left() == ", about 33 min left"
