"""The engine of one machine: stages as forks of a zygote, one a slot."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blemish.errors import UserError
from blemish.fanout.engine import Ended, log_file
from blemish.fanout.graph import Graph
from blemish.fanout.slots import Slot

GRACE = 20.0  # s that interrupted stages get to clean up
RWLOCK = Path(".dvc/tmp/rwlock")
PLAN = "the graph"


class Local:
    """Runs stages in this workspace. To be closed; closing kills what still runs."""

    def __init__(self, slots: list[Slot], environment: dict[str, str]) -> None:
        self.slots = slots
        self._environment = environment
        self._at: dict[str, Slot] = {}
        self._rest = b""
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "blemish.fanout.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            process_group=0,  # Ctrl-C reaches the stages from here, once
        )
        self._news = self._zygote.stdout.fileno() if self._zygote.stdout else -1

    def graph(self, targets: list[str]) -> Graph:
        """The graph of this workspace. Raises UserError with DVC's own words if there is none."""
        with tempfile.TemporaryDirectory() as folder:
            out, log = Path(folder, "plan.json"), Path(folder, "log")
            ended = self._ask({"do": "plan", "targets": targets, "out": str(out)}, log)
            if ended.code:
                lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise UserError(f"DVC cannot read the graph: {lines[-1] if lines else 'no reason'}")
            return Graph(**json.loads(out.read_text(encoding="utf-8")))

    def tidy(self, order: list[str]) -> None:
        """Order dvc.lock as a serial run would have."""
        with tempfile.TemporaryDirectory() as folder:
            self._ask({"do": "tidy", "order": order}, Path(folder, "log"))

    def start(self, stage: str, slot: Slot) -> None:
        """Begin a stage; `poll` says when it has ended."""
        self._at[stage] = slot
        log = log_file(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._send(
            {
                "do": "repro",
                "stage": stage,
                "log": str(log),
                "environment": slot.environment,
                "options": [],
            }
        )

    def poll(self, seconds: float) -> list[Ended]:
        """The stages that ended, waiting for one at most so long."""
        ready, _, _ = select.select([self._news], [], [], seconds)
        if not ready:
            return []
        read = os.read(self._news, 1 << 16)
        if not read:
            raise UserError(
                "the process that starts the stages was killed: look for what ends processes here "
                "(memory?), then run the same command again"
            )
        *lines, self._rest = (self._rest + read).split(b"\n")
        news = [json.loads(line) for line in lines]
        found = [Ended(one["ended"], one["code"]) for one in news if "ended" in one]
        for one in found:
            self._at.pop(one.stage, None)
            if one.killed:
                _mend_rwlock()
        return found

    def interrupt(self) -> None:
        """End all stages as Ctrl-C does; kill what is left after the grace."""
        self._send({"signal": int(signal.SIGINT)})
        end = time.monotonic() + GRACE
        while self._at and time.monotonic() < end:
            self.poll(0.2)

    def close(self) -> None:
        """End the zygote, and with it what still runs."""
        if self._zygote.stdin:
            self._zygote.stdin.close()
        self._zygote.wait()

    def _ask(self, order: dict[str, object], log: Path) -> Ended:
        self._send(order | {"stage": PLAN, "log": str(log), "environment": {}})
        while True:
            for ended in self.poll(1.0):
                if ended.stage == PLAN:
                    return ended

    def _send(self, order: dict[str, object]) -> None:
        if self._zygote.stdin:
            self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
            self._zygote.stdin.flush()


def _mend_rwlock() -> None:
    """DVC's list of paths in use is not written whole or not at all; a broken one stops all DVC."""
    try:
        json.loads(RWLOCK.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        RWLOCK.unlink(missing_ok=True)
