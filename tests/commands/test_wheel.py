"""A wheel, installed where no clone is: what judges images works, the rest says what it needs.

The packages that Blemish needs come from this environment by a path file, so that nothing is
downloaded; Blemish itself does not.
"""

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.methods.tiny import trained
from tests.units import tiny_unit

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "src")
OURS = ("BLEMISH_", "PYTHON", "MLFLOW_", "DVC_")


def environment() -> dict[str, str]:
    """The variables of a user: nothing that points to this project."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


class Elsewhere:
    """A folder outside of any project, and the installed command."""

    def __init__(self, folder: Path, command: Path) -> None:
        self.folder, self.command = folder, command

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command, *map(str, words)], cwd=self.folder, env=environment(),
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def output(self, *words: object) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    base = tmp_path_factory.mktemp("wheel")
    source, installed = base / "source", base / "installed"
    source.mkdir()
    for name in NEEDED:
        origin = ROOT / name
        if origin.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(origin, source / name, ignore=ignored)
        else:
            shutil.copyfile(origin, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", base, source], check=True
    )
    venv.create(installed, with_pip=False)
    (wheel,) = base.glob("blemish-*.whl")
    python = installed / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    (packages,) = installed.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    folder = base / "elsewhere"
    folder.mkdir()
    found = subprocess.run(
        [python, "-c", "import blemish; print(blemish.__file__)"], cwd=folder, check=True,
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.startswith(str(packages))
    return Elsewhere(folder, installed / "bin" / "blemish")


def test_help_and_units(elsewhere: Elsewhere) -> None:
    assert "predict" in elsewhere.output("--help")
    assert "elpv" in elsewhere.output("units")
    assert "solar cells" in elsewhere.output("units", "elpv/mono").lower()


def test_predict_and_watch(elsewhere: Elsewhere) -> None:
    model = elsewhere.folder / "model"
    shutil.copytree(trained("glass"), model)
    images = sorted((tiny_unit().prepared / "test/good").glob("*.png"))[:2]
    for folder in ("new", "camera"):
        (elsewhere.folder / folder).mkdir()
        for number, image in enumerate(images):
            shutil.copyfile(image, elsewhere.folder / folder / f"{number}.png")
    elsewhere.output("predict", "model", "new", "--scores", "found.csv", "--maps", "maps")
    elsewhere.output("watch", "model", "camera", "--scores", "seen.csv", "--once", "--rest", "0")
    tables = [list(csv.DictReader((elsewhere.folder / name).open())) for name in
              ("found.csv", "seen.csv")]  # fmt: skip
    for table in tables:
        assert len(table) == 2
    assert [row["score"] for row in tables[0]] == [row["score"] for row in tables[1]]
    assert len(list((elsewhere.folder / "maps").rglob("*.np[yz]"))) == 2


def test_metrics(elsewhere: Elsewhere) -> None:
    random = np.random.default_rng(0)
    for folder in ("maps/good", "maps/spot", "masks/good", "masks/spot"):
        (elsewhere.folder / "foreign" / folder).mkdir(parents=True)
    for kind in ("good", "spot"):
        scores = random.random((20, 20)).astype(np.float32)
        scores[5:9, 5:9] += kind == "spot"
        np.save(elsewhere.folder / f"foreign/maps/{kind}/000.npy", scores)
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:9] = 255
    cv2.imwrite(str(elsewhere.folder / "foreign/masks/spot/000_mask.png"), mask)
    said = elsewhere.output("metrics", "foreign/maps", "foreign/masks", "--json")
    assert '"pixel_aupro": 1.0' in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "error: there is no .dvc folder here: run from the project's folder"),
        (("leaderboard",), "error: params.yaml is missing: run from the project's folder"),
        (("profile", "paper"), "error: params.yaml is missing: run from the project's folder"),
        (("promote",), "error: params.yaml is missing: run from the project's folder"),
    ],
)
def test_what_needs_a_project_says_so(elsewhere: Elsewhere, words, message: str) -> None:
    done = elsewhere.run(*words)
    assert (done.returncode, done.stderr.strip()) == (1, message)
