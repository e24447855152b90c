"""A method's `plain.py` is its specification written down, for tests and benchmarks alone."""

import pytest

from blemish.core.code import SOURCE, closure, module_file
from blemish.methods.registry import METHODS

STAGES = SOURCE.parent / "stages"
PLAIN = sorted((SOURCE / "blemish" / "methods").glob("*/plain.py"))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_that_runs_imports_a_plain_form(method: str) -> None:
    modules = [module_file(f"blemish.methods.{method}.{part}") for part in ("detector", "training")]
    scripts = [STAGES / "train.py", STAGES / "evaluate.py"]
    reached = closure([*scripts, *filter(None, modules)])
    assert any(file.parent.name == method for file in reached)
    assert not reached & set(PLAIN)


def test_commands_import_no_plain_form() -> None:
    commands = (SOURCE / "blemish" / "commands").glob("*.py")
    assert not closure([*commands, *STAGES.glob("*.py")]) & set(PLAIN)


def test_an_import_of_a_plain_form_would_be_seen() -> None:
    glass = SOURCE / "blemish" / "methods" / "glass" / "plain.py"
    dlas = module_file("blemish.methods.dlas.plain")
    assert dlas is not None
    assert {glass, dlas} <= closure([dlas]) & set(PLAIN)
