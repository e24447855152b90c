"""Starts each stage once its inputs are ready, and at most one stage for each slot."""

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Protocol

from blemish.run.children import Child, ask, log_file
from blemish.run.local import Slot
from blemish.run.messages import Graph
from blemish.run.screen import Screen

LOOK = 0.5  # s between looks at the progress of stages
GRACE = 20.0  # s that interrupted stages get to clean up
BUSY = 2.0  # s before a stage whose files another DVC process has locked is tried again


@dataclass
class Tally:
    """How each stage ended, how long it took in seconds, and what could not begin."""

    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """The stages that failed."""
        return [stage for stage, outcome in self.outcomes.items() if outcome == "failed"]


class Place(Protocol):
    """Where the commands of stages run: on this machine, or on a cluster."""

    slots: list[Slot]

    def start(self, stage: str, slot: Slot) -> Child:
        """Begin to reproduce a stage."""
        ...

    def attend(self, child: Child, message: object) -> None:
        """Do what a child asks for before it ends."""
        ...

    def interrupt(self) -> None:
        """End the commands that run elsewhere."""
        ...

    def close(self) -> None:
        """Let go of what the place holds."""
        ...


@dataclass
class Running:
    """A stage in a slot."""

    stage: str
    slot: Slot
    child: Child
    began: float
    result: object = None


class Schedule:
    """Runs stages of a graph in the slots of a place.

    A stage that was killed is tried again, at most `retries` times; a stage that failed stays
    failed, what needs it is not begun, and all others go on.
    """

    def __init__(self, graph: Graph, place: Place, screen: Screen, retries: int) -> None:
        self.graph = graph
        self.place = place
        self.screen = screen
        self.retries = retries

    def run(self, stages: list[str]) -> Tally:
        """Until nothing runs and nothing can begin. KeyboardInterrupt ends the stages tidily and
        is raised again."""
        self.tally = Tally()
        self._waiting = dict.fromkeys(stages, 0.0)  # from which moment on it may begin
        self._needs = {s: {n for n in self.graph.upstream[s] if n in stages} for s in stages}
        self._free = list(self.place.slots)
        self._running: list[Running] = []
        self._retried: Counter[str] = Counter()
        try:
            while self._fill() or self._running:
                self._wait()
                self.screen.look()
        except KeyboardInterrupt:
            self._interrupt()
            raise
        finally:
            for running in self._running:
                running.child.close()
        self.tally.blocked = list(self._waiting)
        return self.tally

    def _fill(self) -> bool:
        """Begin what can begin; whether something waits for its time."""
        ready = [stage for stage in self._waiting if not self._needs[stage]]
        now = time.monotonic()
        for stage in [stage for stage in ready if self._waiting[stage] <= now][: len(self._free)]:
            slot = self._free.pop(0)
            del self._waiting[stage]
            log = log_file(stage)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
            self._running.append(Running(stage, slot, self.place.start(stage, slot), now))
            self.screen.started(stage, slot.name)
        return any(stage in self._waiting for stage in ready)

    def _wait(self) -> None:
        """Until a child says something or ends, a moment at most."""
        connection.wait([item for one in self._running for item in one.child.waitable], LOOK)
        for running in list(self._running):
            while (message := running.child.receive()) is not None:
                if isinstance(message, tuple | Exception):
                    running.result = message[0] if isinstance(message, tuple) else message
                else:
                    self.place.attend(running.child, message)
            if running.child.ended:
                self._end(running)

    def _end(self, running: Running) -> None:
        self._running.remove(running)
        self._free.append(running.slot)
        running.child.close()  # a command may outlive its DVC
        stage, outcome = running.stage, getattr(running.result, "outcome", "killed")
        if isinstance(running.result, Exception):
            outcome = "failed"
            with log_file(stage).open("a", encoding="utf-8") as log:
                log.write(f"ERROR: {running.result}\n")
        if outcome == "killed":
            ask("mend_workspace")
        if outcome == "busy":
            self._waiting[stage] = time.monotonic() + BUSY
            self.screen.waits(stage, getattr(running.result, "reason", ""))
            return
        if outcome == "killed" and self._retried[stage] < self.retries:
            self._retried[stage] += 1
            self._waiting = {stage: 0.0, **self._waiting}
            self.screen.retried(stage)
            return
        self._note(running, "failed" if outcome == "killed" else outcome)

    def _note(self, running: Running, outcome: str) -> None:
        seconds = time.monotonic() - running.began
        self.tally.outcomes[running.stage] = outcome
        self.tally.seconds[running.stage] = seconds
        self.screen.ended(running.stage, outcome, seconds)
        if outcome != "failed":
            for needs in self._needs.values():
                needs.discard(running.stage)

    def _interrupt(self) -> None:
        """End all stages as Ctrl-C does; kill what is left after the grace."""
        for running in self._running:
            running.child.signal(signal.SIGINT)
        self.place.interrupt()
        end = time.monotonic() + GRACE
        while self._running and time.monotonic() < end:
            self._wait()
