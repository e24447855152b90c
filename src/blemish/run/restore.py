"""The head's workspace gets what nodes made while other stages run, not when all have."""

import signal
from pathlib import Path

from blemish.run.forks import Forks

GRACE = 5.0  # s that DVC gets to leave its locks


class Restorer:
    """Restores stages from DVC's cache, in batches: what ended while the last one was restored.

    Where the cache, or the remote, does not have a result (yet), its stage waits for the last
    batch. pull: fetch results from the default remote. Nothing else may ask `forks` while a batch
    is under way.
    """

    def __init__(self, forks: Forks, log: Path, pull: bool) -> None:
        self._forks = forks
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)  # of an earlier run
        self._words = ["--pull"] if pull else []
        self._batch: list[str] = []
        self._next: list[str] = []
        self._failed: list[str] = []

    def add(self, stage: str) -> None:
        """A node has this one's result; what it needs was added before."""
        self._next.append(stage)

    def look(self, seconds: float = 0.0) -> None:
        """Begin a batch if none is under way; wait for its end at most so long."""
        if self._next and not self._batch:
            self._batch, self._next = self._next, []
            self._forks.restore(self._batch, self._log, self._words)
        if self._batch and (ended := self._forks.ended(seconds)):
            self._failed += self._batch if ended[0][1] else []
            self._batch = []

    def settle(self) -> None:
        """Wait until all that was added has been tried."""
        while self._next or self._batch:
            self.look(1.0)

    def try_again(self) -> bool:
        """Once more what could not be restored; whether all is restored now."""
        self._next, self._failed = self._failed, []
        self.settle()
        return not self._failed

    def stop(self) -> None:
        """End a batch that is under way as Ctrl-C does."""
        self._next = []
        if self._batch:
            self._forks.signal(signal.SIGINT)
            self.look(GRACE)
