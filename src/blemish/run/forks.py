"""A zygote and what it forks: DVC commands that cost no start of their own."""

import json
import select
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError
from blemish.run.nursery import shared, spawned

ASKED = "asked"  # the name of what `ask` runs
GONE = (
    "the process that starts the stages was killed: look for what ends processes here (memory?), "
    "then run the same command again"
)


class Forks:
    """Orders for a zygote. To be closed; closing kills what still runs.

    environment: of the zygote and its children, in which they find Blemish as this process does.
    node: the name of the run whose workers on this machine share their imports; None: no others do.
    folder: where its children work.
    """

    def __init__(self, environment: dict[str, str], node: str | None = None) -> None:
        self.folder = Path()
        self._rest = b""
        self._line = spawned(environment) if node is None else shared(node, environment)

    @property
    def alive(self) -> bool:
        """Whether the zygote can take orders."""
        try:
            return self._line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:  # it has nothing to say
            return True
        except OSError:
            return False

    def start(self, name: str, log: Path, environment: dict[str, str], *words: str) -> None:
        """Begin `dvc` with these words; what it prints is added to the log."""
        self._send({"do": "dvc", "words": words, "environment": environment}, name, log)

    def restore(self, stages: list[str], log: Path, words: list[str]) -> None:
        """Begin to restore these stages from DVC's cache, with words for `dvc repro`."""
        repro = ["--wait-for-lock", "repro", "--single-item", "--keep-going", *words, *stages]
        self._send({"do": "restore", "words": repro, "environment": {}}, "restore", log)

    def ended(self, seconds: float) -> list[tuple[str, int]]:
        """What ended, by name, and its exit code; waits for one at most so long.

        Raises UserError if the zygote itself is gone.
        """
        ready, _, _ = select.select([self._line], [], [], seconds)
        if not ready:
            return []
        try:
            read = self._line.recv(1 << 16)
        except OSError:
            read = b""
        if not read:
            raise UserError(GONE)
        *lines, self._rest = (self._rest + read).split(b"\n")
        news = [json.loads(line) for line in lines]
        return [(one["ended"], one["code"]) for one in news if "ended" in one]

    def ask(self, **order: Any) -> str:
        """Do something while nothing else runs; what it printed.

        Raises UserError with its last error if it failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            self._send({"environment": {}} | order, ASKED, log)
            ended: list[tuple[str, int]] = []
            while not ended:
                ended = self.ended(1.0)
            text = log.read_text(encoding="utf-8", errors="replace").strip()
        if ended[0][1]:
            lines = text.splitlines() or ["no reason given"]
            errors = [line for line in lines if line.startswith("ERROR: ")] or lines
            raise UserError(errors[-1].removeprefix("ERROR: "))
        return text

    def signal(self, number: int) -> None:
        """Send a signal to all that runs."""
        self._write({"signal": number})

    def close(self) -> None:
        """End the zygote, and with it what still runs."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
            while self._line.recv(1 << 16):  # until it is gone
                pass
        self._line.close()

    def _send(self, order: dict[str, Any], name: str, log: Path) -> None:
        folder = str(self.folder.resolve())
        self._write(order | {"stage": name, "log": str(log.resolve()), "folder": folder})

    def _write(self, order: dict[str, Any]) -> None:
        try:
            self._line.sendall(json.dumps(order).encode() + b"\n")
        except OSError:
            raise UserError(GONE) from None
