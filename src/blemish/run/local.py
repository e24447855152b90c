"""This machine as the place where the commands of stages run."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from blemish.core.errors import UserError
from blemish.run.children import Child, log_file

GIB_EACH = 3.0  # memory that a training of the shipped settings may need
# What DVC runs a command with ($SHELL -c command): notes when it began and how it ended, so that
# nobody needs to read what DVC prints.
SHELL = """#!/bin/sh
export SHELL=/bin/sh
: > "$BLEMISH_NOTES.began"
{run}
echo $status > "$BLEMISH_NOTES.ended"
exit $status
"""
HERE = '/bin/sh "$@"; status=$?'


@dataclass(frozen=True)
class Slot:
    """A place for one stage at a time; `environment` is what its processes get besides."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)


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


def local_slots(jobs: int | None, gpus: str | None, per_gpu: int) -> list[Slot]:
    """The slots of this machine.

    jobs: how many stages at once; None for one a core, fewer where memory is short. gpus: numbers
    such as "0,1", each of which takes `per_gpu` stages; None leaves CUDA as it is.
    Raises UserError for numbers that make no sense.
    """
    if gpus is None:
        count = _at_least_one(jobs, "--jobs") if jobs is not None else default_jobs()
        return [Slot(f"cpu {n}", _threads(count)) for n in range(count)]
    if jobs is not None:
        raise UserError("--jobs and --gpus exclude each other: --per-gpu says how many a GPU takes")
    numbers = gpus.split(",")
    if not all(number.isdigit() for number in numbers) or len(set(numbers)) < len(numbers):
        raise UserError(f"--gpus is {gpus!r}: give the GPUs' numbers, such as 0,1")
    each = _at_least_one(per_gpu, "--per-gpu")
    threads = _threads(len(numbers) * each)
    return [
        Slot(f"gpu {number}", {"CUDA_VISIBLE_DEVICES": number, **threads})
        for _ in range(each)
        for number in numbers
    ]


def default_jobs() -> int:
    """One stage a core, as far as memory goes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(_cores(), int(memory / GIB_EACH)))


def _threads(slots: int) -> dict[str, str]:
    """Cores are shared out, so that N stages do not run N × cores threads.

    Results do not depend on it: `training.threads` says how many threads compute them.
    """
    share = str(max(1, _cores() // slots))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), share)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _at_least_one(number: int, option: str) -> int:
    if number < 1:
        raise UserError(f"{option} is {number}: give at least 1")
    return number
