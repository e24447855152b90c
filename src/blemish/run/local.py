"""This machine as the place where the commands of stages run."""

import tempfile
from pathlib import Path

from blemish.run.children import Child, log_file
from blemish.run.slots import Slot

# What DVC runs a command with ($SHELL -c command): notes when it began and how it ended, so that
# nobody needs to read what DVC prints.
SHELL = """#!/bin/sh
: > "$BLEMISH_NOTES.began"
{run}
echo $status > "$BLEMISH_NOTES.ended"
exit $status
"""
HERE = '/bin/sh "$@"; status=$?'


class Local:
    """Reproduces stages in this workspace."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = slots
        self._notes = Notes(HERE)

    def start(self, stage: str, slot: Slot) -> Child:
        """Begin to reproduce a stage."""
        notes, environment = self._notes.new()
        return Child("reproduce", (stage, notes), slot.environment | environment, log_file(stage))

    def attend(self, child: Child, message: object) -> None:
        """Nothing is asked for here."""

    def interrupt(self) -> None:
        """The children's signal reaches their commands."""

    def close(self) -> None:
        """Nothing is held."""


class Notes:
    """A folder for the notes of a run's commands, and the shell that writes them."""

    def __init__(self, run: str) -> None:
        """run: what the shell does with `-c command`, setting `status`."""
        self._folder = tempfile.TemporaryDirectory(prefix="blemish-run-")
        self.shell = Path(self._folder.name, "shell")
        self.shell.write_text(SHELL.format(run=run))
        self.shell.chmod(0o700)
        self._count = 0

    def new(self) -> tuple[Path, dict[str, str]]:
        """Where the next command is noted, and the environment for it."""
        self._count += 1
        notes = Path(self._folder.name, f"{self._count}")
        return notes, {"SHELL": str(self.shell), "BLEMISH_NOTES": str(notes)}
