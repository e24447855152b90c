"""The tutorials that run here, each in a project of its own, in the order of their commands."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.docs.pages import DOCS, blocks, shell
from tests.docs.test_add_method import add

from .workspace import Workspace, draw_photographs

TUTORIALS = DOCS / "tutorials"
# What makes PatchCore as small as the tiny grid's GLASS.
PATCHCORE = {"weights": "random", "image_size": 64, "pretrain_dim": 16, "target_dim": 16}


@pytest.fixture
def project(tiny: Workspace, tmp_path: Path) -> Workspace:
    workspace = tiny.branch(tmp_path / "base")
    workspace.set({f"patchcore.{name}": value for name, value in PATCHCORE.items()})
    tools = workspace.base / "bin"
    tools.mkdir()
    program = "from blemish.commands.app import main; main()"
    (tools / "blemish").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}' \"$@\"\n")
    (tools / "blemish").chmod(0o755)
    return workspace


def run(project: Workspace, commands: str) -> str:
    """The output of a block, each of whose commands must end well."""
    environment = project.environment() | {"COLUMNS": "200"}
    environment["PATH"] = os.pathsep.join([str(project.base / "bin"), environment["PATH"]])
    environment["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=project.root, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=560,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_own_part(project: Workspace) -> None:
    draw_photographs(project / "photos/bolts", seed=3)
    first, shown, judged, more = shell(TUTORIALS / "own-part.md")
    assert "0 failed" in run(project, first)
    assert "bolts/all" in run(project, shown)
    run(project, judged)
    found = pd.read_csv(project / "found.csv")
    assert len(found) == len(list((project / "look").glob("*.png"))) == 3
    said = run(project, more)
    assert "train@bolts/all-patchcore-0" in said
    assert "train@bolts/all-glass-0 begins" not in said


def test_compare(project: Workspace) -> None:
    grid, board, kept, compared = shell(TUTORIALS / "compare.md")
    run(project, grid)
    assert re.search(r"glass.*±.*\n(.*\n)*?.*patchcore", run(project, board))
    said = run(project, kept)
    assert "train@lcdsim/grey-glass-0" in said
    assert "Running stage 'train@lcdsim/grey-patchcore-0'" not in said
    shown = run(project, compared)
    assert "shorter" in shown
    assert "glass.epochs" in shown


def test_add_a_data_set(project: Workspace) -> None:
    page = TUTORIALS / "add-data-set.md"
    for block in blocks(page):
        add(project.root, block.title, block.text)
    draw_photographs(project.base / "washers", seed=4, good=12)
    downloads = project / "data/downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    names = {"good": "good", "scratch": "bad", "ground_truth/scratch": "masks"}
    with zipfile.ZipFile(downloads / "washers.zip", "w") as archive:
        for folder, name in names.items():
            for image in (project.base / "washers" / folder).glob("*.png"):
                archive.write(image, f"WASHERS/{name}/{image.name.replace('_mask', '')}")
    shutil.rmtree(project.base / "washers")
    (commands,) = shell(page)
    said = run(project, commands)
    assert "example.org/washers" in said
    manifest = pd.read_parquet(project / "data/prepared/washers/ring/manifest.parquet")
    counts = manifest.groupby(["label", "split"]).size().to_dict()
    assert counts[1, "test"] == 3
    assert counts[0, "train"] + counts[0, "val"] + counts[0, "test"] == 12
    assert manifest[manifest["label"] == 1]["mask"].notna().all()
    assert "not as published" not in said
