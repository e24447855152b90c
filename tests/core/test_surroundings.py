"""Blemish runs where letters, or a name for the user, are missing."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blemish.core.surroundings import say

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "from blemish.commands.app import main; main()"
NAMELESS = """
import getpass, pwd, runpy, sys
def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = unknown
"""
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def blemish(*words: str, code: str = COMMAND, **variables: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, env=environment | variables,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode(variables.get("PYTHONIOENCODING", "utf-8"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("words", [["params"], ["units"], ["units", "loco/juice_bottle"]])
def test_no_letter_ends_a_command(words: list[str], encoding: str) -> None:
    assert blemish(*words, PYTHONIOENCODING=encoding).strip()


def test_json_keeps_every_letter() -> None:
    plain = json.loads(blemish("units", "--json", PYTHONIOENCODING="ascii"))
    assert plain == json.loads(blemish("units", "--json", PYTHONIOENCODING="utf-8"))


def test_a_stage_s_error_is_printed_in_any_letters() -> None:
    code = "from blemish.core.errors import *\ndef f(): print('3 × σ')\nrun_stage(f, [])"
    assert blemish(code=code, PYTHONIOENCODING="ascii") == "3 ? ?\n"


def test_a_user_without_a_name_gets_one() -> None:
    call = "surroundings.adapt_to_surroundings()"
    code = f"{NAMELESS}\nfrom blemish.core import surroundings\n{call}\n"
    said = blemish(code=f"{code}print(getpass.getuser())")
    assert said == f"user-{os.getuid()}\n"
    assert "run(s)" in blemish("params", code=f"{NAMELESS}\n{COMMAND}")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_sentence_is_broken_between_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    sentence = (
        "3 images by glass of elpv/mono: 3 alarms, and a-word-that-is-longer-than-the-terminal"
    )
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        say(sentence, stream)
    assert file.getvalue() == f"{sentence}\n"
    lines = terminal.getvalue().splitlines()
    assert all(len(line) <= 30 or " " not in line for line in lines)
    assert len(lines) > 2
    assert " ".join(lines) == sentence
