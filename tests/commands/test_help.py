"""What a user sees before anything runs: help with examples, completion, exit statuses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from blemish.commands.app import VERBS
from blemish.predict.session import INTERRUPTED, SKIPPED
from blemish.run import run as run_module
from tests.docs.test_commands import ROOT, fault

NAMES = [verb.__name__ for verb in VERBS]
BLEMISH = (sys.executable, "-c", "from blemish.commands.app import main; main()")


def blemish(
    *words: str, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command on a terminal of 80 columns."""
    plain = {"COLUMNS": "80", "PYTHONPATH": str(ROOT / "src"), "TERM": "dumb"}
    return subprocess.run(
        [*BLEMISH, *words], cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, **plain, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_each_command_has_an_example_that_exists(name: str, tmp_path: Path) -> None:
    done = blemish(name, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    example = re.search(r"Example: (blemish .+?)\n *\n", done.stdout, re.DOTALL)
    assert example is not None
    line = " ".join(example[1].split())
    assert line.split()[1] == name
    params = tmp_path / "params.yaml"
    params.write_bytes((ROOT / "params.yaml").read_bytes())
    assert fault(line, params) is None


@pytest.mark.parametrize(
    ("typed", "offered"), [("blemish lea", "leaderboard"), ("blemish predict --over", "--overlays")]
)
def test_a_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    """As bash asks after `blemish --install-completion`; named by a link, as typer looks for it."""
    program = f"import sys; sys.argv[0] = 'blemish'; {BLEMISH[2]}"
    asked = {
        "_BLEMISH_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, cwd=ROOT,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert offered in done.stdout.split(), done.stderr


def test_the_table_of_exit_statuses_has_those_of_the_code(tmp_path: Path) -> None:
    text = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    section = text.split("## Exit statuses")[1].split("\n## ")[0]
    stated = {int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert stated == {0, 1, 2, SKIPPED, INTERRUPTED}
    assert run_module.INTERRUPTED == INTERRUPTED
    assert blemish("units", folder=tmp_path).returncode == 0
    wrong = blemish("leaderboard", folder=tmp_path)
    assert wrong.returncode == 1
    assert re.fullmatch(r"error: .+\n", wrong.stderr)
    assert blemish("leaderboard", "--fly").returncode == 2
    assert blemish("predict").returncode == 2
