"""The workspaces whose reports are tested."""

from pathlib import Path

import pytest

from tests.browser.workspace import MASKED, METHODS, SEEDS, UNITS, UNMASKED, make_workspace
from tests.report.runs import build_in


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two units, two methods and two seeds, with its report built."""
    root = tmp_path_factory.mktemp("workspace")
    make_workspace(root, {MASKED: ["spot", "line"], UNMASKED: ["crack"]}, METHODS, SEEDS)
    build_in(root, UNITS, METHODS, SEEDS)
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A workspace of one run, not built yet."""
    make_workspace(tmp_path, {MASKED: ["spot"]}, ["glass"], [0])
    return tmp_path
