"""Every command of docs/deploy.md, run in the order of the page in a project with results."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from .workspace import PROJECT, Workspace

PAGE = (PROJECT / "docs/deploy.md").read_text(encoding="utf-8")
SERVED = "lcdsim/grey"
PATIENCE = 500  # s


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PORT = free_port()


def block(beginning: str) -> str:
    """The block of commands of the page that begins so, with a port that is free here."""
    (found,) = [text for text in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
                if text.startswith(beginning)]  # fmt: skip
    return str(found).replace("5001", str(PORT))


@pytest.fixture(scope="module")
def used(
    finished: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, dict[str, str]]:
    """A finished workspace with a photo and an empty folder; the environment of its commands."""
    workspace = finished.branch(tmp_path_factory.mktemp("deployed") / "base")
    tools = workspace.base / "bin"
    tools.mkdir()
    blemish = tools / "blemish"
    program = "from blemish.commands.app import main; main()"
    blemish.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}' \"$@\"\n")
    blemish.chmod(0o755)
    environment = workspace.environment()
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    environment["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
    (photo,) = list((workspace / f"data/prepared/{SERVED}/test").rglob("*.png"))[:1]
    shutil.copyfile(photo, workspace / "photo.png")
    (workspace / "camera").mkdir()
    return workspace, environment


Used = tuple[Workspace, dict[str, str]]


def run(used: Used, commands: str) -> str:
    """The output of a block, each of whose commands must end well."""
    workspace, environment = used
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=workspace.root, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def start(used: Used, command: str) -> subprocess.Popen[bytes]:
    """A command that the page starts in the background."""
    workspace, environment = used
    assert command.endswith(" &\n")
    words = "exec " + command.removesuffix(" &\n")
    with (workspace.base / "background.log").open("w") as log:
        return subprocess.Popen(["bash", "-c", words], cwd=workspace.root, env=environment,
                                stdout=log, stderr=log)  # fmt: skip


def wait(used: Used, process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        log = (used[0].base / "background.log").read_text()
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.2)


def is_alive() -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{PORT}/ping", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_champion_is_served_and_given_back(used: Used) -> None:
    promoted = run(used, block("blemish promote lcdsim"))
    assert "lcdsim.grey: glass seed 0 is the champion, validation image_auroc " in promoted
    server = start(used, block("mlflow models serve"))
    try:
        wait(used, server, is_alive)
        answer = run(used, block("curl"))
        (found,) = json.loads(answer[answer.index('{"predictions"') :])["predictions"]
        assert set(re.findall(r'"(\w+)": ', PAGE)) >= found.keys()
    finally:
        server.terminate()
        server.wait(60)
    scored = run(used, f"blemish predict models/{SERVED}/glass-0 photo.png --json").splitlines()
    row = next(json.loads(line) for line in scored if line.startswith('{"image"'))
    assert (found["score"], found["decision"]) == (row["score"], bool(row["decision"]))
    assert (found["width"], len(found["regions"])) == (row["width"], row["regions"])


def test_without_a_champion_before_there_is_no_way_back(used: Used) -> None:
    workspace, environment = used
    done = subprocess.run(
        ["bash", "-c", block("blemish promote --back")], cwd=workspace.root, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: lcdsim/grey: no champion before this one")
    # Where there is one, going back is tested in tests/tracking/test_promotion.py.


def test_the_champion_is_fetched_by_name_from_a_clones_remote(used: Used) -> None:
    workspace, _ = used
    run(used, block("blemish promote lcdsim"))
    run(used, block("dvc remote add"))
    shown = run(used, block("git clone"))
    assert "photo.png" in shown
    weights = (workspace / f"models/{SERVED}/glass-0/model.safetensors").read_bytes()
    for place in ("detector", "glass"):
        assert (workspace.base / place / "model.safetensors").read_bytes() == weights
    assert not (workspace.base / "elsewhere/models").exists()


def test_a_folder_is_watched(used: Used) -> None:
    workspace, _ = used
    watcher = start(used, block("blemish watch"))
    try:
        shutil.copyfile(workspace / "photo.png", workspace / "camera/1.png")
        wait(used, watcher, lambda: (workspace / "look/1.png.png").exists())
        shutil.copyfile(workspace / "photo.png", workspace / "camera/2.png")
        wait(used, watcher, lambda: "2.png" in (workspace / "found.csv").read_text())
    finally:
        watcher.terminate()
        assert watcher.wait(PATIENCE) == 0
    first, *rows = (workspace / "found.csv").read_text().splitlines()
    assert re.sub(r" \([^)]*\)", "", section("The table's columns are ")) == first.replace(
        ",", ", "
    )
    assert [row.partition(",")[0] for row in rows] == ["1.png", "2.png"]


def test_how_fast_it_is(used: Used) -> None:
    printed = run(used, block("blemish speed"))
    table, found = printed[: printed.index("{")], json.loads(printed[printed.index("{") :])
    assert table.startswith("glass of lcdsim/grey, images of 96×96")
    (note,) = (
        text
        for file in (used[0] / "speed").glob("*.json")
        if (text := json.loads(file.read_text()))["unit"] == SERVED
    )
    assert note.keys() == found.keys()
    assert note["milliseconds"].keys() == found["milliseconds"].keys()


def test_graphs_are_exported_and_judge_as_the_model(used: Used) -> None:
    workspace, _ = used
    shutil.copytree(PROJECT / "examples", workspace / "examples")
    workspace.set({"export.formats": ["onnx"], "units": [SERVED]})
    *_, line = run(used, block("dvc repro")).splitlines()
    facts = workspace.json(f"exports/{SERVED}/glass-0/onnx/export.json")
    assert (facts["unit"], facts["difference"]["flips"]) == (SERVED, 0)
    scored = run(used, f"blemish predict models/{SERVED}/glass-0 photo.png --json").splitlines()
    row = next(json.loads(line) for line in scored if line.startswith('{"image"'))
    decision, score, *_ = line.split()
    assert decision == ("defective" if row["decision"] else "good")
    assert abs(float(score) - row["score"]) <= 1e-3 * max(1, abs(row["score"]))


def section(beginning: str) -> str:
    """The rest of a sentence of the page."""
    sentence = re.search(re.escape(beginning) + r"(.*?)\.\s", PAGE, re.DOTALL)
    assert sentence is not None
    return " ".join(sentence[1].split())


def test_every_command_of_the_page_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    begun = re.findall(r'block\("([^"]+)"\)', text)
    for commands in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        assert any(commands.startswith(beginning) for beginning in begun), commands
