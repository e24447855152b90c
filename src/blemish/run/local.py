"""The engine of one machine: stages as forks of a zygote, one a slot."""

import json
import signal
import time
from pathlib import Path

from blemish.run.engine import Ended, log_file
from blemish.run.forks import Forks
from blemish.run.graph import Graph, graph_of
from blemish.run.slots import Slot

GRACE = 20.0  # s that interrupted stages get to clean up
RWLOCK = Path(".dvc/tmp/rwlock")


class Local:
    """Runs stages in this workspace. To be closed; closing kills what still runs."""

    def __init__(self, slots: list[Slot], forks: Forks) -> None:
        self.slots = slots
        self._at: dict[str, Slot] = {}
        self._forks = forks

    def graph(self, targets: list[str]) -> Graph:
        """The graph of this workspace. Raises UserError with DVC's own words if there is none."""
        return graph_of(self._forks, targets)

    def tidy(self, order: list[str]) -> None:
        """Order dvc.lock as a serial run would have."""
        self._forks.ask(do="tidy", order=order)

    def start(self, stage: str, slot: Slot) -> None:
        """Begin a stage; `poll` says when it has ended."""
        self._at[stage] = slot
        log = log_file(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        words = ["--wait-for-lock", "repro", "--single-item", stage]
        self._forks.start(stage, log, slot.environment, *words)

    def poll(self, seconds: float) -> list[Ended]:
        """The stages that ended, waiting for one at most so long."""
        found = [Ended(stage, code) for stage, code in self._forks.ended(seconds)]
        for one in found:
            self._at.pop(one.stage, None)
            if one.killed:
                _mend_rwlock()
        return found

    def interrupt(self) -> None:
        """End all stages as Ctrl-C does; kill what is left after the grace."""
        self._forks.signal(signal.SIGINT)
        end = time.monotonic() + GRACE
        while self._at and time.monotonic() < end:
            self.poll(0.2)

    def close(self) -> None:
        """End the zygote, and with it what still runs."""
        self._forks.close()


def _mend_rwlock() -> None:
    """DVC's list of paths in use is not written whole or not at all; a broken one stops all DVC."""
    try:
        json.loads(RWLOCK.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        RWLOCK.unlink(missing_ok=True)
