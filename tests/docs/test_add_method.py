"""docs/tutorials/add-method.md: its files, added to a copy, make a method like any other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, blocks

PAGE = DOCS / "tutorials/add-method.md"
COPIED = (
    "src",
    "stages",
    "tests",
    "params.yaml",
    "profiles",
    "pyproject.toml",
    "requirements.lock",
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with what the page adds."""
    root = tmp_path_factory.mktemp("extended")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, root / name, ignore=ignored)
        else:
            shutil.copyfile(source, root / name)
    for block in blocks(PAGE):
        add(root, block.title, block.text)
    return root


def add(root: Path, title: str, text: str) -> None:
    """A new file, or lines at the end of one or of the last table in it, as the title says."""
    name, _, where = title.partition(", ")
    path = root / name
    if where == "":
        if name:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return
    before = path.read_text(encoding="utf-8")
    end = len(before)
    if where.startswith("in "):  # before the brace that closes the table
        end = before.index("\n}", before.index(f"\n{where.removeprefix('in ')}")) + 1
    path.write_text(before[:end] + text + before[end:], encoding="utf-8")


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{root}/src:{root}", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True,
        timeout=500,
    )  # fmt: skip


def test_the_methods_tests_pass_on_it(extended: Path) -> None:
    (command,) = [
        line for block in blocks(PAGE) for line in block.text.splitlines() if "pytest" in line
    ]
    done = run(extended, *command.split()[1:], "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_its_style_and_types_are_those_of_the_house(extended: Path) -> None:
    folder = "src/blemish/methods/deviation"
    for words in (
        ("-m", "ruff", "check", folder),
        ("-m", "ruff", "format", "--check", folder),
        ("-m", "mypy", "-p", "blemish.methods.deviation"),
    ):
        done = run(extended, *words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_know_it(extended: Path) -> None:
    program = "from blemish.core.profiles import set_params; set_params(['methods=[deviation]'])"
    done = run(extended, "-c", program)
    assert done.returncode == 0, done.stderr
    done = run(extended, "-c", program.replace("deviation", "deviations"))
    assert "did you mean 'deviation'" in done.stderr


def test_its_section_is_complete(extended: Path) -> None:
    program = (
        "from blemish.core.params import read_yaml; from pathlib import Path; "
        "from blemish.methods.deviation.params import Params; "
        "assert set(read_yaml(Path('params.yaml'))['deviation']) == set(Params.model_fields)"
    )
    done = run(extended, "-c", program)
    assert done.returncode == 0, done.stderr
