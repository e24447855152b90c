"""The code behind a result: which files a script runs, and a digest of them."""

import shutil
from pathlib import Path

import pytest

from blemish import closure as closure_module
from blemish.closure import closure, digest, module_file

ROOT = Path(__file__).resolve().parents[2]
SETS = ROOT / "src" / "blemish" / "data" / "sets"


def names(files: set[Path], root: Path = ROOT / "src" / "blemish") -> set[str]:
    return {file.relative_to(root).as_posix() for file in files}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the source tree that the closure is computed in."""
    source = tmp_path / "elsewhere"
    shutil.copytree(
        ROOT / "src" / "blemish", source / "blemish", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(closure_module, "SOURCE", source)
    return source / "blemish"


def test_the_closure_of_a_data_set() -> None:
    found = names(closure(SETS / "elpv.py"))
    assert found == {
        "__init__.py",
        "data/__init__.py",
        "data/dataset.py",
        "data/sets/__init__.py",  # Python runs it before the module, whoever imports that
        "data/sets/elpv.py",
        "errors.py",
    }


def test_imports_inside_functions_count() -> None:
    found = names(closure(SETS / "lcdsim.py"))
    assert {"data/lcdsim/render.py", "data/lcdsim/shapes.py", "data/lcdsim/options.py"} <= found
    assert not {name for name in found if name.startswith(("nn/", "methods/", "synthesis/"))}


def test_each_form_of_import_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "blemish"
    (package / "data").mkdir(parents=True)
    forms = {
        "__init__.py": "",
        "plain.py": "import blemish.data.one",
        "named.py": "from blemish.data import two",
        "name_in_module.py": "from blemish.data.one import thing",
        "late.py": "def f():\n    if True:\n        import blemish.data.two as two",
        "others.py": "import os, blemishes\nfrom blemish_else import x",
        "data/__init__.py": "",
        "data/one.py": "from blemish.data import two",
        "data/two.py": "import blemish.data.one",  # a circle ends
        "data/relative.py": "from .one import thing",
    }
    for name, text in forms.items():
        (package / name).write_text(text)
    monkeypatch.setattr(closure_module, "SOURCE", tmp_path)
    both = {"__init__.py", "data/__init__.py", "data/one.py", "data/two.py"}
    for name in ("plain.py", "named.py", "name_in_module.py", "late.py", "data/relative.py"):
        assert names(closure(package / name), package) == both | {name}, name
    assert names(closure(package / "others.py"), package) == {"__init__.py", "others.py"}


def test_the_digest_does_not_depend_on_the_place(copied: Path) -> None:
    moved = digest(copied / "data" / "sets" / "elpv.py")
    closure_module.SOURCE = ROOT / "src"
    assert moved == digest(SETS / "elpv.py")


def test_only_the_data_set_whose_code_changed_gets_another_digest(copied: Path) -> None:
    sets = ("elpv", "lcdsim", "magnetic_tile", "folder")
    before = {name: digest(copied / "data" / "sets" / f"{name}.py") for name in sets}
    with (copied / "data" / "lcdsim" / "camera.py").open("a") as file:
        file.write("# one more line\n")
    after = {name: digest(copied / "data" / "sets" / f"{name}.py") for name in sets}
    assert [name for name in sets if before[name] != after[name]] == ["lcdsim"]
    with (copied / "data" / "sources" / "gate.py").open("a") as file:
        file.write("# one more line\n")
    last = {name: digest(copied / "data" / "sets" / f"{name}.py") for name in sets}
    assert [name for name in sets if after[name] != last[name]] == ["magnetic_tile"]


def test_module_names_become_files() -> None:
    assert module_file("blemish.data.split") == ROOT / "src/blemish/data/split.py"
    assert module_file("blemish.data") == ROOT / "src/blemish/data/__init__.py"
    assert module_file("blemish.data.nothing") is None
    assert module_file("numpy") is None
