"""What runs stages: the contract between the pool and its engines."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blemish.run.slots import Slot

LOGS = Path("logs")
ON = "on node "  # the first line of a log that came from a node names it

_KILLED = re.compile(r"exited with (-\d+|1(29|3\d|4\d|5\d))\b")
_LOCKS = re.compile(r"RWLock-file|is busy, it is being blocked|Unable to acquire lock|rwlock\.py")
_NOISE = re.compile(
    r"\s*|To track the changes with git, run:|\tgit add .*|To enable auto staging, run:"
    r"|\tdvc config core\.autostage true|Use `dvc push` to send .*|Data and pipelines are up to .*"
)


@dataclass(frozen=True)
class Ended:
    """A stage that ended: DVC's exit code, negative for the signal that killed DVC itself."""

    stage: str
    code: int
    lost: bool = False  # its machine is gone

    @property
    def log(self) -> str:
        """What it printed."""
        try:
            return log_file(self.stage).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    @property
    def killed(self) -> bool:
        """Whether a signal ended DVC or the stage's command: no fault of the stage's own."""
        return self.lost or self.code < 0 or (self.code > 0 and bool(_KILLED.search(self.log)))

    @property
    def outcome(self) -> str:
        """ran, cached, unchanged or failed."""
        if self.code:
            return "failed"
        # A node's log tells of the stage's ancestors too.
        if f"Stage '{self.stage}' is cached - skipping run" in self.log:
            return "cached"
        return "unchanged" if f"Stage '{self.stage}' didn't change, skipping" in self.log else "ran"

    @property
    def worth_retrying(self) -> bool:
        """Killed, or in the way of another DVC."""
        return self.killed or (self.code > 0 and bool(_LOCKS.search(self.log)))

    def last_lines(self, count: int) -> list[str]:
        """The end of its log, without DVC's advice."""
        lines = [line for line in self.log.splitlines() if not _NOISE.fullmatch(line)]
        return lines[-count:]


class Engine(Protocol):
    """Runs stages in slots; a stage's results are in DVC's cache when it has ended well."""

    slots: list[Slot]

    def start(self, stage: str, slot: Slot) -> None: ...

    def poll(self, seconds: float) -> list[Ended]: ...

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


def log_file(stage: str) -> Path:
    """Where a stage's own output goes: `train@lcd/a-glass-0` → logs/train@lcd/a-glass-0.log."""
    return LOGS / f"{stage}.log"
