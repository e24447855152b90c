"""Fixtures of the tests of the stage `evaluate`."""

import importlib
import sys
from types import ModuleType

import pytest

from tests.evaluation.white import Params, White


@pytest.fixture
def white(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the detector importable as any method is: `blemish.methods.white`."""
    package = importlib.import_module("blemish.methods")
    modules = {
        "white": {},
        "white.params": {"Params": Params},
        "white.detector": {"DETECTOR": White},
    }
    for name, content in modules.items():
        module = ModuleType(f"{package.__name__}.{name}")
        module.__dict__.update(content, __path__=[])
        monkeypatch.setitem(sys.modules, module.__name__, module)
