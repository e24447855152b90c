"""What many stages at once look like: a live table on a terminal, plain lines elsewhere."""

import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from blemish.run.children import log_file

LINE_EVERY = 30.0  # s between plain lines on a running stage
LAST_LINES = 12  # of a failed stage's log
_PROGRESS = re.compile(r": (\w+) (\d+) of (\d+), (\d+) s left")
TAIL = 4096  # bytes of a log that are looked at
ON = "on node "  # the first line of a log that came from a node names it
HOW = {"cached": "restored from the cache", "unchanged": "unchanged"}


@dataclass
class _Row:
    where: str
    began: float
    said: float


class Screen:
    """Shows a run of stages, some at once."""

    def __init__(
        self,
        console: Console,
        stages: list[str],
        at_once: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.total = len(stages)
        self.clock = clock
        self.began = clock()
        self.done = 0
        self._at_once = at_once
        self._left = dict.fromkeys(stages)
        self._took: dict[str, list[float]] = defaultdict(list)
        self._rows: dict[str, _Row] = {}
        self._told: set[str] = set()
        self._live = Live(console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, stage: str, where: str) -> None:
        """A stage began in a slot."""
        now = self.clock()
        self._rows[stage] = _Row(where, now, now)
        if not self.console.is_terminal:
            self.say(f"{self._place()} {stage} begins on {where}{self.time_left()}")
        self.look()

    def ended(self, stage: str, outcome: str, seconds: float) -> None:
        """A stage ended, well or not."""
        row = self._rows.pop(stage)
        self.done += 1
        del self._left[stage]
        if outcome == "ran":
            self._took[kind_of(stage)].append(seconds)
        verb = "FAILED after" if outcome == "failed" else "done in"
        how = HOW.get(outcome, f"{verb} {clock_time(seconds)}")
        self.look()  # the table first, or the line would stand above a row of this stage
        where = host_of(stage) or row.where
        self.say(f"{self._place()} {stage} {how} ({where}){self.time_left()}")
        if outcome == "failed":
            for line in last_lines(stage):
                self.say(f"    {line}")
            self.say(f"    the whole log: {log_file(stage)}")

    def retried(self, stage: str) -> None:
        """A stage was killed and will begin again."""
        self._rows.pop(stage, None)
        self.look()
        self.say(f"{stage} was killed: it begins again")

    def waits(self, stage: str, reason: str) -> None:
        """Another DVC uses paths of a stage, which will be tried again."""
        self._rows.pop(stage, None)
        if stage not in self._told:
            self._told.add(stage)
            self.say(f"{stage} waits for another DVC: {' '.join(reason.split())}")

    def look(self) -> None:
        """Show how far the running stages are."""
        if self.console.is_terminal:
            self._live.update(self._table())
            return
        now = self.clock()
        for stage, row in self._rows.items():
            if now - row.said >= LINE_EVERY and (progress := last_progress(stage)):
                row.said = now
                self.say(f"    {stage}: {progress}", dim=True)

    def say(self, text: str, *, dim: bool = False) -> None:
        """One line above the table; a terminal breaks it between words, but not what a log says."""
        whole = not self.console.is_terminal or text.startswith(" ")
        self.console.print(
            text, style="dim" if dim else None, markup=False, highlight=False, soft_wrap=whole
        )

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("running", "on", "time", "progress"):
            table.add_column(heading, no_wrap=True)
        now = self.clock()
        for stage, row in self._rows.items():
            where = host_of(stage) or row.where
            table.add_row(stage, where, clock_time(now - row.began), last_progress(stage))
        elapsed = clock_time(self.elapsed())
        total = f"{self.done} of {self.total} stages, {elapsed} elapsed{self.time_left()}"
        return Group(table, Text(total, style="bold", no_wrap=True))

    def _place(self) -> str:
        return f"[{self.done}/{self.total}]"

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self.began

    def time_left(self) -> str:
        """From the mean time of the stages of each kind that ran; "" before there is any."""
        kinds = [kind_of(stage) for stage in self._left]
        seconds = sum(mean(self._took[kind]) for kind in kinds if kind in self._took)
        if not seconds:
            return ""
        known = all(kind in self._took for kind in kinds)
        how = "about" if known else "at least"
        return f", {how} {rough_time(seconds / self._at_once)} left"


def kind_of(stage: str) -> str:
    """Stages that take about as long: `train@elpv/mono-glass-0` → `train glass`."""
    name, _, item = stage.partition("@")
    words = item.rsplit("-", 2)
    return f"{name} {words[1]}" if len(words) == 3 and words[2].isdigit() else name


def host_of(stage: str) -> str:
    """The node that a cluster's engine wrote on top of a log; "" on one machine."""
    try:
        with log_file(stage).open(encoding="utf-8", errors="replace") as stream:
            first = stream.readline(200)
    except FileNotFoundError:
        return ""
    return first.removeprefix(ON).strip() if first.startswith(ON) else ""


def last_progress(stage: str) -> str:
    """The newest line of progress in a stage's log: `epoch 3 of 25, 1:10 left`."""
    try:
        with log_file(stage).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    found = list(_PROGRESS.finditer(text))
    if not found:
        return ""
    unit, done, total, left = found[-1].groups()
    return f"{unit} {done} of {total}, {rough_time(int(left))} left"


def last_lines(stage: str) -> list[str]:
    """The end of a stage's log without empty lines."""
    text = log_file(stage).read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()][-LAST_LINES:]


def clock_time(seconds: float) -> str:
    """75 → 1:15."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rough_time(seconds: float) -> str:
    """An estimate, no more exact than it is."""
    if seconds < 90:
        return f"{max(1, round(seconds / 5)) * 5} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
