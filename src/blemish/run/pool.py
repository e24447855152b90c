"""Stages as soon as what they need is there, and as many as there are slots."""

import time
from collections import Counter
from dataclasses import dataclass, field

from blemish.run.engine import Ended, Engine
from blemish.run.graph import Graph
from blemish.run.screen import Screen
from blemish.run.slots import Slot

LOOK = 0.5  # s between looks at the progress of stages


@dataclass
class Tally:
    """How each stage ended and how long it took, in seconds."""

    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, Ended] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    retried: Counter[str] = field(default_factory=Counter)


class Pool:
    """Runs the pending stages of a graph on an engine.

    A stage that was killed is tried again, at most `retries` times; a stage that failed stays
    failed, what needs it is not begun, and all others go on.
    """

    def __init__(self, graph: Graph, engine: Engine, screen: Screen, retries: int) -> None:
        self.engine = engine
        self.screen = screen
        self.retries = retries
        self.tally = Tally()
        self._waiting = dict.fromkeys(graph.pending())
        self._needs = {
            stage: {one for one in graph.upstream[stage] if one in self._waiting}
            for stage in self._waiting
        }
        self._free = list(engine.slots)
        self._running: dict[str, tuple[Slot, float]] = {}

    def run(self) -> Tally:
        """Until nothing runs and nothing can begin."""
        while True:
            self._fill()
            if not self._running:
                self.tally.blocked = list(self._waiting)
                return self.tally
            for ended in self.engine.poll(LOOK):
                self._end(ended)
            self.screen.look()

    def _fill(self) -> None:
        ready = [stage for stage in self._waiting if not self._needs[stage]]
        for stage in ready[: len(self._free)]:
            slot = self._free.pop(0)
            del self._waiting[stage]
            self._running[stage] = (slot, time.monotonic())
            self.engine.start(stage, slot)
            self.screen.started(stage, slot.name)

    def _end(self, ended: Ended) -> None:
        slot, began = self._running.pop(ended.stage)
        self._free.append(slot)
        if ended.worth_retrying and self.tally.retried[ended.stage] < self.retries:
            self.tally.retried[ended.stage] += 1
            self._waiting = {ended.stage: None, **self._waiting}
            self.screen.retried(ended)
            return
        seconds = time.monotonic() - began
        self.tally.outcomes[ended.stage] = ended.outcome
        self.tally.seconds[ended.stage] = seconds
        self.screen.ended(ended, seconds)
        if ended.code:
            self.tally.failed[ended.stage] = ended
            return
        for needs in self._needs.values():
            needs.discard(ended.stage)
