"""Workspaces that the tests share: running the whole graph takes a minute, even a tiny one."""

from pathlib import Path

import pytest

from .workspace import Repro, Workspace, make_workspace


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A fresh clone with the tiny grid. Nothing has run and nothing must be changed in it."""
    return make_workspace(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def finished(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny grid after `dvc repro`, committed. Not to be changed: `branch` off."""
    workspace = tiny.branch(tmp_path_factory.mktemp("finished") / "base")
    workspace.repro()
    workspace.commit("The results of the tiny grid")
    return workspace


@pytest.fixture(scope="session")
def again(finished: Workspace) -> Repro:
    """A second `dvc repro` where everything is done."""
    return finished.repro()


@pytest.fixture
def branch(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace, to be changed."""
    return finished.branch(tmp_path / "base")
