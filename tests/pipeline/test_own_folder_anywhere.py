"""Own folders through the real DVC: in its copies, under any name, and where they are not."""

import re
import shutil
from pathlib import Path

import pytest

from .workspace import OWN, Workspace

PREPARED = "data/prepared"


@pytest.fixture(scope="module")
def prepared(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The own folder's unit, prepared and committed. Not to be changed."""
    workspace = tiny.branch(tmp_path_factory.mktemp("prepared") / "base")
    workspace.set({"units": [OWN]})
    workspace.repro(f"prepare@{OWN}")
    workspace.commit("prepared")
    return workspace


@pytest.fixture
def own(prepared: Workspace, tmp_path: Path) -> Workspace:
    return prepared.branch(tmp_path / "base")


def images(workspace: Workspace, unit: str) -> int:
    return len(list((workspace / PREPARED / unit).glob("t*/*/*.png")))


@pytest.mark.parametrize("path", ["../photos", "photos"])
def test_an_experiment_in_a_copy_sees_the_same_photographs(own: Workspace, path: str) -> None:
    if path == "photos":  # within the project, where git does not know them
        shutil.move(own.photos, own / "photos")
        (own / ".git/info/exclude").write_text("/photos/\n")
        own.set({"data.folders": {"parts": path}})
        own.commit("elsewhere")
    done = own.experiment("--temp", "-S", "data.test_fraction=0.3", f"prepare@{OWN}")
    # Nothing of the photographs is another: what is fetched stays.
    assert done.ran == {"folder@parts", "sources", f"prepare@{OWN}"}


@pytest.mark.parametrize("category", ["price $5", "tick`s", 'a "b"'])
def test_a_category_that_a_shell_would_read(own: Workspace, category: str) -> None:
    shutil.copytree(own.photos / "bolts", own.photos / category)
    for other in ("price ", "ticks", "a b"):  # what would be left of it
        (own.photos / other / "good").mkdir(parents=True)
    unit = f"parts/{category}"
    own.set({"units": [unit]})
    own.repro(f"prepare@{unit}")
    assert images(own, unit) == images(own, OWN) == 11


def test_a_bad_folder_stops_its_own_unit_alone(own: Workspace) -> None:
    (own.photos / "heap").mkdir()
    folders = {"parts": "../photos", "gone": "../gone", "heap": "../photos/heap"}
    own.set({"data.folders": folders, "units": [OWN, "gone/all", "heap/all", "parts/M9"]})
    shutil.rmtree(own / PREPARED)
    units = [OWN, "gone/all", "heap/all", "parts/M9"]
    said = own.run("blemish", "run", "--jobs", "2", *(f"prepare@{u}" for u in units), fails=True)
    assert images(own, OWN) == 11
    assert "gone': there is no such folder" in said
    assert "heap': found neither good/ nor train/good/" in said
    assert "error: parts/M9: params.yaml: `units` has 'parts/M9', but the folder" in said
    assert all(f"fetch@{unit} FAILED" in said for unit in units[1:])
    assert "Traceback" not in said


def test_results_need_no_photographs(branch: Workspace) -> None:
    shutil.rmtree(branch.photos)
    (branch / "data/folders/parts.json").unlink()  # not pulled, but dvc.lock names it
    assert branch.repro().ran == {"folder@parts", "track"}
    assert "there is no such folder: on this machine" in branch.run("blemish", "params")
    board = branch.run("blemish", "leaderboard")
    assert re.search(r"^parts/\s", board, re.MULTILINE)  # 80 columns: a name goes on below
    assert re.search(r"^bolts\s", board, re.MULTILINE)
    assert "by hand" in branch.run("blemish", "units", OWN)
    before = (branch / "metrics/summary.json").read_bytes()
    assert branch.repro("--force", "--single-item", "report").ran == {"report"}
    assert (branch / "metrics/summary.json").read_bytes() == before
    shutil.rmtree(branch / "data/raw/parts")
    shutil.rmtree(branch / ".dvc/cache")
    said = branch.repro(f"fetch@{OWN}", fails=True)
    assert "there is no such folder" in said.text


def test_a_project_without_git_says_what_to_do(own: Workspace) -> None:
    shutil.rmtree(own / ".git")
    said = own.run("blemish", "run", fails=True)
    assert "this folder is no git repository" in said
    assert "`git init && " in said
    assert "Traceback" not in said
