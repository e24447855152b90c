"""Every command in the documentation exists: verbs, options, settings, targets, scripts.

Pages whose commands run in CI are run elsewhere (`tests/pipeline`); this holds for what cannot.
"""

import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.core.profiles import apply_profile, set_params
from tests.docs.pages import PAGES, ROOT, code_in

GROUP = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
# What a page writes for "any".
PLACEHOLDERS = re.compile(r"[…<>]|\bNAME\b|\bKEY=VALUE\b")
# What the tutorials add, and what a reader's own folder would be called.
EXAMPLES = re.compile(r"deviation|washers|bolts/|parts/bolts")


def words_of(line: str) -> list[str]:
    """The words of a command, without a prompt, a comment and what is started behind it."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # an apostrophe: prose
        return []
    while words and re.fullmatch(r"[A-Z_]+=\S*|sbatch|srun", words[0]):
        words = words[1:]
    return [word for word in words if word != "&"]


def fault(line: str, params: Path) -> str | None:
    """What is wrong with a line of code; None: nothing, or no command of ours.

    params: a copy of params.yaml, which takes the profile that a page chooses.
    """
    words = words_of(line)
    if len(words) < 2 or PLACEHOLDERS.search(line):
        return None
    if words[0] == "blemish":
        return fault_of_verb(words[1], words[2:], params)
    if words[:3] == ["dvc", "exp", "run"]:
        return fault_of_settings(words[3:], params)
    if words[0] == "make" and re.fullmatch(r"[a-z-]+", words[1]):
        return None if words[1] in TARGETS else f"no such target: {words[1]}"
    if words[0] == "python" and words[1].endswith(".py"):
        return None if (ROOT / words[1]).is_file() else f"no such script: {words[1]}"
    return None


def fault_of_verb(verb: str, words: list[str], params: Path) -> str | None:
    if verb in ("--help", "--install-completion", "--show-completion"):
        return None
    command = getattr(GROUP, "commands", {}).get(verb)
    if command is None:
        return f"no such verb: {verb}"
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    for word in words:
        if re.match(r"--?[a-zA-Z]", word) and word.partition("=")[0] not in known:
            return f"{verb} has no option {word}"
    if verb == "profile":
        apply_profile(words[0], ROOT / "profiles", params)
    return fault_of_settings(words, params)


def fault_of_settings(words: list[str], params: Path) -> str | None:
    """What params.yaml says to the settings after -S, made in a copy."""
    after = [value for word, value in pairwise(words) if word == "-S"]
    settings = [setting for setting in after if not EXAMPLES.search(setting)]
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copy(params, folder))
        try:
            set_params(settings, copy)
        except UserError as error:
            return str(error)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path, tmp_path: Path) -> None:
    params = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    wrong = [f"{line}: {what}" for line in code_in(page) if (what := fault(line, params))]
    assert wrong == []


def test_the_pages_have_commands() -> None:
    lines = [line for page in PAGES for line in code_in(page)]
    for beginning in (
        "blemish run",
        "blemish predict",
        "dvc exp run",
        "make repro",
        "python bench",
    ):
        assert sum(line.startswith(beginning) for line in lines) > 2, beginning


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("blemish fly", "no such verb: fly"),
        ("blemish run --jobz 3", "run has no option --jobz"),
        ("blemish run -S glass.epoch=3", "unknown key `glass.epoch`"),
        ("dvc exp run -S training.device=gpu", "training.device"),
        ("make everything", "no such target: everything"),
        ("python benchmarks/nothing.py", "no such script"),
    ],
)
def test_a_wrong_command_is_found(line: str, message: str) -> None:
    assert message in (fault(line, ROOT / "params.yaml") or "")
