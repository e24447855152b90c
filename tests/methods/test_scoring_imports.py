"""Scoring needs nothing of training, and nothing that is shipped needs a plain form."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from blemish.methods.registry import METHODS
from tests.methods.tiny import trained

SOURCE = Path(__file__).resolve().parents[2] / "src"
SCORE = """
import json, sys
from pathlib import Path
import torch
from blemish.methods.scoring import score_picture
from blemish.methods.saved import load

detector, _ = load(Path(sys.argv[1]), torch.device("cpu"))
size = detector.framing.window
score_picture(detector, torch.randint(256, (3, *size), dtype=torch.uint8), size)
print(json.dumps(sorted(sys.modules)))
"""
TRAINING = ("trainer", "loop", "training_data", "checkpoint")


def modules_after(program: str, *arguments: str) -> list[str]:
    """What a new interpreter has loaded once it ran a program that prints its modules."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def is_of_training(module: str) -> bool:
    parts = module.split(".")
    if parts[:2] == ["blemish", "methods"]:
        return parts[-1] in {*TRAINING, "training", "plain"}
    return parts[0] == "pandas" or parts[:2] == ["blemish", "synthesis"]


@pytest.mark.parametrize("method", METHODS)
def test_scoring_loads_nothing_of_training(method: str) -> None:
    loaded = modules_after(SCORE, str(trained(method)))
    assert f"blemish.methods.{method}.detector" in loaded
    assert [module for module in loaded if is_of_training(module)] == []


def test_modules_of_training_are_known() -> None:
    for name in TRAINING:
        assert (SOURCE / "blemish" / "methods" / f"{name}.py").is_file()
    for method in METHODS:
        assert is_of_training(f"blemish.methods.{method}.training")
        assert (SOURCE / "blemish" / "methods" / method / "training.py").is_file()
    assert is_of_training("blemish.synthesis.kinds")
    assert not is_of_training("blemish.methods.glass.detector")


def test_the_package_itself_is_light() -> None:
    loaded = modules_after("import json, sys, blemish; print(json.dumps(sorted(sys.modules)))")
    assert "blemish" in loaded
    assert not {"torch", "pandas", "numpy"} & {*loaded}


def test_nothing_shipped_imports_a_plain_form() -> None:
    importers = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [one.name for one in getattr(node, "names", []) if isinstance(one, ast.alias)]
            whole = [f"{getattr(node, 'module', '')}.{name}" for name in names] + names
            if any("plain" in name.split(".") for name in whole):
                importers.append(file.name)
    assert {*importers} <= {"plain.py"}  # a relative's may build on that of its ancestor
