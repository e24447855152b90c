"""The model and the images of the tests of `blemish predict`."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.predict.bright import Bright, Params, write_image, write_model


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the detector importable as any method is: `blemish.methods.bright`."""
    modules = {
        "bright": {},
        "bright.params": {"Params": Params},
        "bright.detector": {"DETECTOR": Bright},
    }
    for name, content in modules.items():
        module = ModuleType(f"{importlib.import_module('blemish.methods').__name__}.{name}")
        module.__dict__.update(content, __path__=[])
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Of 20 validation normals with maxima 0.31 … 0.5 and scores 3.1 … 5.0, on a ground of 0.2."""
    return write_model(tmp_path / "model")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two good ones, of different sizes and depths, and one with two spots."""
    folder = tmp_path / "images"
    write_image(folder / "good.png")
    write_image(folder / "line 2" / "tall.jpg", (200, 40))
    write_image(
        folder / "line 2" / "bad.png", (192, 256), (30, 40, 36, 60, 240), (120, 180, 40, 30, 200)
    )
    (folder / "notes.md").write_text("no image")
    return folder
