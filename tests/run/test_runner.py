"""The runner around a real DVC in a repository of tiny stages."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from blemish.run.runner import INTERRUPTED, Progress, planned, run
from tests.run.workspace import is_alive, wait_for

PIPELINE = """
stages:
  textures:
    cmd: python stage.py textures
    deps: [stage.py]
    outs: [textures]
  prepare:
    matrix: {unit: [elpv/mono, lcdsim/grey]}
    cmd: python stage.py prepared/${item.unit}
    deps: [stage.py]
    outs: ["prepared/${item.unit}"]
  train:
    matrix: {unit: [elpv/mono, lcdsim/grey], method: [glass], seed: [0]}
    cmd: python stage.py models/${item.unit}/${item.method}-${item.seed}
    deps: [stage.py, textures, "prepared/${item.unit}"]
    params: ["${item.method}"]
    outs: ["models/${item.unit}/${item.method}-${item.seed}"]
  track:
    always_changed: true
    cmd: python -c "print('tracked')"
    deps: [models]
"""

STAGE = """
import sys, time
from pathlib import Path

out = Path(sys.argv[1])
params = Path("params.yaml").read_text()
print(f"makes {out} with {sys.executable}")
if "broken" in params and out.parts[0] == "models":
    sys.exit("error: prepared/elpv/mono/x.png is broken; fetch it again")
if "slow" in params and out.parts[0] == "models":
    Path("pid").write_text(str(__import__("os").getpid()))
    time.sleep(60)
out.mkdir(parents=True)
(out / "made").write_text(str(out))
"""

EVERY_STAGE = [
    "textures",
    "prepare@elpv/mono",
    "prepare@lcdsim/grey",
    "train@elpv/mono-glass-0",
    "train@lcdsim/grey-glass-0",
    "track",
]


def dvc(*words: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which nothing has run."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    dvc("init", "--quiet", cwd=folder)
    dvc("config", "core.analytics", "false", cwd=folder)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("glass: {epochs: 1}\n")
    (folder / "stage.py").write_text(STAGE)
    return folder


@pytest.fixture(scope="module")
def done(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository in which everything has run once, and what the runner printed."""
    folder = tmp_path_factory.mktemp("done") / "workspace"
    shutil.copytree(fresh, folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        code, text = runner()
    finally:
        os.chdir(before)
    assert code == 0, text
    return folder, text


@pytest.fixture
def workspace(done: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository in which everything has run, as the current folder."""
    folder = tmp_path / "workspace"
    shutil.copytree(done[0], folder)
    monkeypatch.chdir(folder)
    return folder


def runner(*targets: str) -> tuple[int, str]:
    text = io.StringIO()
    code = run(list(targets), Console(file=text))
    return code, text.getvalue()


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("[")]


def test_fresh_workspace_says_the_plan_and_numbers_every_stage(done: tuple[Path, str]) -> None:
    lines = done[1].splitlines()
    assert lines[0] == "6 stages: textures, prepare ×2, train ×2, track"
    started = [line.split()[:2] for line in headings(done[1])]
    assert started == [[f"[{n}/6]", stage] for n, stage in enumerate(EVERY_STAGE, start=1)]
    assert lines[-1].startswith("done in 0:")
    assert lines[-1].endswith("5 stages ran, 0 restored from the cache, 0 unchanged")


def test_stages_print_through_with_this_python_and_dvc_advice_does_not(
    done: tuple[Path, str],
) -> None:
    assert f"    makes models/elpv/mono/glass-0 with {sys.executable}" in done[1]
    for advice in ("git add", "lock file", "dvc push", "autostage", "> python", "Running stage"):
        assert advice not in done[1]


@pytest.mark.usefixtures("workspace")
def test_nothing_to_do_is_said_though_track_always_runs() -> None:
    code, text = runner()
    assert code == 0
    assert [line.split()[1] for line in headings(text)] == ["track"]
    assert text.splitlines()[-1] == "nothing to do: all 6 stages are up to date"


def test_failed_stage_is_named_and_the_next_run_goes_on(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "params.yaml").write_text("glass: {epochs: 2, broken: 1}\n")
    code, text = runner()
    assert code == 255
    last = text.splitlines()[-1]
    assert last.startswith("train@elpv/mono-glass-0 failed: see the error above.")
    assert "What 3 stages made is whole and kept" in last
    error = capfd.readouterr().err
    assert "error: prepared/elpv/mono/x.png is broken; fetch it again" in error

    (workspace / "params.yaml").write_text("glass: {epochs: 3}\n")
    code, text = runner()
    assert code == 0
    assert text.splitlines()[-1].endswith("2 stages ran, 0 restored from the cache, 3 unchanged")


def test_stages_restored_from_the_cache_are_counted_as_such(workspace: Path) -> None:
    (workspace / "dvc.lock").unlink()
    shutil.rmtree(workspace / "models")
    code, text = runner("train")
    assert code == 0
    assert headings(text)[-1] == "[5/5] train@lcdsim/grey-glass-0  restored from the cache"
    assert text.splitlines()[-1].endswith("0 stages ran, 5 restored from the cache, 0 unchanged")
    assert (workspace / "models/elpv/mono/glass-0/made").is_file()


@pytest.mark.usefixtures("workspace")
def test_a_target_plans_its_ancestors_only() -> None:
    assert planned([]) == EVERY_STAGE
    assert set(planned(["train@elpv/mono-glass-0", "prepare"])) == {
        "textures",
        "prepare@elpv/mono",
        "prepare@lcdsim/grey",
        "train@elpv/mono-glass-0",
    }


@pytest.mark.usefixtures("workspace")
def test_unknown_target_is_dvcs_error(capfd: pytest.CaptureFixture[str]) -> None:
    code, text = runner("trian")
    assert code == 255
    assert "Stage 'trian' not found" in capfd.readouterr().err
    assert text == "DVC stopped: see the error above.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_the_stage_and_keeps_the_rest(
    workspace: Path, number: signal.Signals
) -> None:
    (workspace / "params.yaml").write_text("glass: {slow: 1}\n")
    script = "import sys; from rich.console import Console; from blemish.run.runner import run;"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{script} sys.exit(run([], Console()))"],
        stdout=subprocess.PIPE,
        text=True,
    )
    stage = _wait_for_pid(workspace / "pid")
    process.send_signal(number)
    text, _ = process.communicate(timeout=50)
    assert process.returncode == INTERRUPTED
    last = text.splitlines()[-1]
    assert last.startswith("interrupted in train@elpv/mono-glass-0. What 3 stages made is whole")
    wait_for(lambda: not is_alive(stage), "the stage outlived its runner")
    assert not (workspace / "models/elpv/mono/glass-0").exists()

    (workspace / "params.yaml").write_text("glass: {epochs: 1}\n")
    assert runner()[0] == 0
    assert (workspace / "models/elpv/mono/glass-0/made").is_file()


def _wait_for_pid(path: Path) -> int:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if path.is_file() and (text := path.read_text()):
            return int(text)
        time.sleep(0.05)
    raise AssertionError("the slow stage did not start")


def test_time_left_comes_from_stages_of_the_same_kind() -> None:
    now = [0.0]
    text = io.StringIO()
    stages = [f"{kind}@a/{u}-glass-0" for kind in ("train", "evaluate") for u in "bcd"]
    progress = Progress([*stages, "track"], Console(file=text), clock=lambda: now[0])
    for stage, seconds in zip(stages, [100, 140, 120, 6, 6, 6], strict=True):
        progress.read(f"Running stage '{stage}':")
        now[0] += seconds
        progress.read("Updating lock file 'dvc.lock'")
    assert [line.partition("elapsed")[2] for line in headings(text.getvalue())] == [
        "",  # nothing has been timed
        ", at least 3 min left",  # two trainings, and evaluations of unknown length
        ", at least 2 min left",
        "",
        ", about 10 s left",
        ", about 5 s left",
    ]


def test_a_stage_that_dvc_skips_changes_no_estimate() -> None:
    now = [0.0]
    text = io.StringIO()
    stages = [f"train@a/b-glass-{seed}" for seed in range(4)]
    progress = Progress(stages, Console(file=text), clock=lambda: now[0])
    progress.read("Stage 'train@a/b-glass-0' didn't change, skipping")
    progress.read("Running stage 'train@a/b-glass-1':")
    now[0] = 4000.0
    progress.read("")
    progress.read("Running stage 'train@a/b-glass-2':")
    assert headings(text.getvalue()) == [
        "[2/4] train@a/b-glass-1  0:00 elapsed",
        "[3/4] train@a/b-glass-2  1:06:40 elapsed, about 2.2 h left",
    ]
