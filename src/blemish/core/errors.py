"""The one error a user can cause, and how a stage reports it."""

import difflib
import importlib
import sys
from collections.abc import Callable, Sequence

from blemish.core.surroundings import adapt_to_surroundings


class UserError(Exception):
    """Something the user can fix. The message is one line: what, where, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def run_stage(main: Callable[..., None], arguments: list[str] | None = None) -> None:
    """Call a stage's `main` with its command-line words; a UserError becomes one line and exit 1.

    A stage has few arguments and DVC writes them, so `main` takes them as plain strings in order.
    """
    words = sys.argv[1:] if arguments is None else arguments
    adapt_to_surroundings()
    # By name: it cannot change what a stage makes.
    noted_times = importlib.import_module("blemish.core.stage_times").noted_times
    try:
        with noted_times():
            main(*words)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: nothing half-written was kept", file=sys.stderr)
        raise SystemExit(130) from None


def suggestion(word: str, valid: Sequence[str]) -> str:
    """` (did you mean …?)` where a valid word is close, else nothing."""
    close = difflib.get_close_matches(word, valid, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
