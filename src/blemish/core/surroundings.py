"""What a process may lack where it is started: a name for its user, letters of its terminal."""

import getpass
import io
import json
import os
import shutil
import sys
import textwrap
from typing import Any, TextIO


def adapt_to_surroundings() -> None:
    """Be able to print any text, and give a user without a name one, for DVC and MLflow ask for it.

    A container may run under a number that no list of users has.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"user-{os.getuid()}"


def say(line: str, stream: TextIO) -> None:
    """Print a sentence; on a terminal it is broken between words, elsewhere it stays one line."""
    wide = shutil.get_terminal_size().columns
    whole = not stream.isatty() or len(line) <= wide
    print(
        line
        if whole
        else textwrap.fill(line, wide, break_long_words=False, break_on_hyphens=False),
        file=stream,
    )


def printable_json(value: Any, **options: Any) -> str:
    """JSON in the letters that standard output takes, the others as escapes."""
    text = json.dumps(value, ensure_ascii=False, **options)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, **options)
    return text
