"""Children of a fork server in which DVC is imported once: each runs one task, then ends."""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError

CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, in the fork server: this side's command, DVC, and what DVC imports when first used.
CONTEXT.set_forkserver_preload(
    [
        "blemish.commands.app",
        "blemish.run.reproduce",
        "dvc.cachemgr",
        "dvc.cli.parser",
        "dvc.compare",
        "dvc.data_cloud",
        "dvc.repo.artifacts",
        "dvc.repo.datasets",
        "dvc.repo.metrics",
        "dvc.repo.params",
        "dvc.repo.plots",
        "dvc.repo.stage",
        "dvc.rwlock",
        "dvc.utils.strictyaml",
        "scmrepo.git",
    ]
)
LOGS = Path("logs")
NO_GIT = (
    "this folder is no git repository, as after a download without .git, and DVC needs one: "
    "`git init && git add . && git commit -m Blemish`, then the same command again"
)


def environment() -> dict[str, str]:
    """What DVC runs in: `python` in a stage's command is this Python, and prints at once."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    given = os.environ | {"PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}
    return {"DVC_NO_ANALYTICS": "1"} | given


class Child:
    """A task in a process of its own, the leader of a group that holds all that it starts."""

    def __init__(
        self,
        name: str,
        arguments: tuple[Any, ...],
        given: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """name: of a function in `blemish.run.reproduce`; given: more environment; log: where what
        it prints is added to."""
        self.line, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=_run, args=(name, arguments, environment() | (given or {}), log, theirs)
        )
        self._process.start()
        theirs.close()

    @property
    def waitable(self) -> list[Any]:
        """What `multiprocessing.connection.wait` can wait for."""
        return [self._process.sentinel, *([] if self.line.closed else [self.line])]

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.exitcode is not None

    def receive(self) -> Any:
        """What the child sent, or None if it sent nothing; of a dead child nothing more comes."""
        try:
            return self.line.recv() if not self.line.closed and self.line.poll() else None
        except (EOFError, OSError):
            self.line.close()
            return None

    def answer(self, status: int) -> None:
        """The exit status of what the child asked to be run; it may be gone meanwhile."""
        with suppress(OSError):
            self.line.send(status)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        with suppress(ProcessLookupError, PermissionError):
            if self._process.pid:
                os.killpg(self._process.pid, number)

    def close(self) -> None:
        """Kill what is left of the group."""
        self.signal(signal.SIGKILL)
        self._process.join()
        self.line.close()


def _run(name: str, *rest: Any) -> None:
    # Imported by the fork server already; here by name, so that the runner itself needs no DVC.
    from blemish.run import reproduce

    task: Callable[..., Any] = getattr(reproduce, name)
    reproduce.child(task, *rest)


def ask(name: str, *arguments: Any) -> Any:
    """The value of a task that nothing else runs beside. Raises UserError with DVC's words."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        child = Child(name, arguments, log=log)
        connection.wait([child.line])
        answer = child.receive()
        child.close()
        if not isinstance(answer, tuple):
            text = log.read_text(encoding="utf-8", errors="replace").split("\n")
            errors = [line for line in text if line.startswith("ERROR: ")]
            said = str(answer or (errors or ["it ended without a word"])[-1])
            raise UserError(NO_GIT if "is not a git repository" in said else said)
        return answer[0]


def log_file(stage: str) -> Path:
    """Where a stage's output goes."""
    return LOGS / f"{stage}.log"
