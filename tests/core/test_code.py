"""The code behind a result: which files and packages a stage runs, and what counts as a change."""

import shutil
from pathlib import Path

import pytest

from blemish.core import code
from blemish.core.code import closure, describe, digest_of, imports_of, module_file, read_lock
from blemish.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "blemish"
SETS = PACKAGE / "datasets"
LOCK = read_lock(ROOT / "requirements.lock")


def names(files: set[Path], root: Path = PACKAGE) -> set[str]:
    return {file.relative_to(root).as_posix() for file in files}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the source tree that the closure is computed in."""
    source = tmp_path / "elsewhere" / "src"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, source / "blemish", ignore=ignored)
    monkeypatch.setattr(code, "SOURCE", source)
    return source / "blemish"


def test_the_closure_of_a_data_set() -> None:
    assert names(closure([SETS / "elpv.py"])) == {
        "__init__.py",
        "core/__init__.py",  # Python runs it before the module, whoever imports that
        "core/errors.py",
        "core/surroundings.py",
        "datasets/__init__.py",
        "datasets/dataset.py",
        "datasets/elpv.py",
        "download/__init__.py",
        "download/archive.py",  # what an archive is, not how one is downloaded
        "images/__init__.py",
        "images/formats.py",
    }


def test_imports_inside_functions_count() -> None:
    found = names(closure([SETS / "lcdsim.py"]))
    renderer = {path.name for path in (SETS / "displays").glob("*.py")}
    assert len(renderer) > 5
    assert {f"datasets/displays/{name}" for name in renderer} <= found
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
        "typed.py": (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import blemish.plain\n"
            "else:\n    import blemish.data.one"
        ),
        "others.py": "import os, blemishes\nfrom blemish_else import x\nfind_spec('holds_data')",
        "data/__init__.py": "",
        "data/one.py": "from blemish.data import two",
        "data/two.py": "import blemish.data.one",  # a circle ends
        "data/relative.py": "from .one import thing",
    }
    for name, text in forms.items():
        (package / name).write_text(text)
    monkeypatch.setattr(code, "SOURCE", tmp_path)
    both = {"__init__.py", "data/__init__.py", "data/one.py", "data/two.py"}
    for name in (
        "plain.py", "named.py", "name_in_module.py", "late.py", "typed.py", "data/relative.py"
    ):  # fmt: skip
        assert names(closure([package / name]), package) == both | {name}, name
    assert names(closure([package / "others.py"]), package) == {"__init__.py", "others.py"}
    others = imports_of(package / "others.py").packages
    assert others == {"blemish", "os", "blemishes", "blemish_else", "holds_data"}


def test_the_description_does_not_depend_on_the_place(copied: Path) -> None:
    moved = describe([copied / "datasets" / "elpv.py"], LOCK)
    code.SOURCE = ROOT / "src"
    assert moved == describe([SETS / "elpv.py"], LOCK)


SPOKEN = '''
"""A module."""


def area(width: float, height: float) -> float:
    """The area."""
    return width * height
'''


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("The area.", "The product of the sides.", True),
        ("A module.", "Another text.", True),
        ("return width", "# why\n    return width", True),
        ("width * height", "(width *\n        height)", True),
        ("    return width * height", "", False),
        ("width * height", "width + height", False),
        ("-> float", "-> int", False),
    ],
)
def test_only_what_a_module_does_counts(
    tmp_path: Path, before: str, after: str, same: bool
) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text(SPOKEN)
    second.write_text(SPOKEN.replace(before, after))
    assert second.read_text() != SPOKEN
    assert (digest_of(first) == digest_of(second)) == same


def test_templates_and_tables_beside_the_code_count(copied: Path) -> None:
    start = copied / "report" / "build.py"
    before = describe([start], LOCK)
    style = copied / "report" / "templates" / "style.css"
    assert "src/blemish/report/templates/style.css" in before["code"]
    style.write_text(style.read_text() + "/* another look */")
    assert describe([start], LOCK)["code"] != before["code"]


def test_the_versions_are_those_of_the_lock() -> None:
    found = describe([PACKAGE / "images" / "framing.py"], LOCK)["packages"]
    assert found["opencv-python-headless"] == LOCK["opencv-python-headless"]
    assert "timm" not in found
    assert describe([SETS / "elpv.py"], LOCK)["packages"] == {"elpv-dataset": LOCK["elpv-dataset"]}


def test_a_package_that_is_not_pinned_is_named() -> None:
    without = {name: version for name, version in LOCK.items() if name != "elpv-dataset"}
    with pytest.raises(UserError, match=r"requirements\.lock: 'elpv_dataset' .*make lock"):
        describe([SETS / "elpv.py"], without)


def test_module_names_become_files() -> None:
    assert module_file("blemish.prepare.split") == PACKAGE / "prepare/split.py"
    assert module_file("blemish.prepare") == PACKAGE / "prepare/__init__.py"
    assert module_file("blemish.prepare.nothing") is None
    assert module_file("numpy") is None
