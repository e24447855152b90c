"""What many stages at once look like: a live table on a terminal, plain lines elsewhere."""

import re
import time
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from blemish.run.engine import ON, Ended, log_file
from blemish.run.times import clock_time, rough_time

LINE_EVERY = 30.0  # s between plain lines on a running stage
LAST_LINES = 12  # of a failed stage's log
_PROGRESS = re.compile(r": (\w+) (\d+) of (\d+), (\d+) s left")
_TAIL = 4096  # bytes of a log that are looked at


@dataclass
class _Row:
    where: str
    began: float
    said: float


class Screen:
    """Shows a run. `total` stages are to be run."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.began = time.monotonic()
        self.done = 0
        self._rows: dict[str, _Row] = {}
        self._live = Live(console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, stage: str, where: str) -> None:
        """A stage began in a slot."""
        now = time.monotonic()
        self._rows[stage] = _Row(where, now, now)
        if not self.console.is_terminal:
            self.say(f"{self._place()} {stage} begins on {where}{self._left()}")
        self.look()

    def ended(self, ended: Ended, seconds: float) -> None:
        """A stage ended, well or not."""
        row = self._rows.pop(ended.stage)
        self.done += 1
        how = {
            "ran": f"done in {clock_time(seconds)}",
            "cached": "restored from the cache",
            "unchanged": "unchanged",
            "failed": f"FAILED after {clock_time(seconds)}",
        }[ended.outcome]
        where = host_of(ended.stage) or row.where
        self.look()  # the table first, or the line would stand above a row of this stage
        self.say(f"{self._place()} {ended.stage} {how} ({where}){self._left()}")
        if ended.code:
            self._say_end_of_log(ended)

    def retried(self, ended: Ended) -> None:
        """A stage was killed and will begin again."""
        self._rows.pop(ended.stage, None)
        self.look()
        why = "was killed" if ended.killed else "met another DVC"
        self.say(f"{ended.stage} {why}: it begins again")

    def look(self) -> None:
        """Show how far the running stages are."""
        if self.console.is_terminal:
            self._live.update(self._table())
            return
        now = time.monotonic()
        for stage, row in self._rows.items():
            if now - row.said >= LINE_EVERY and (progress := last_progress(stage)):
                row.said = now
                self.say(f"    {stage}: {progress}", dim=True)

    def say(self, text: str, *, dim: bool = False) -> None:
        """One line above the table."""
        self.console.print(
            text, style="dim" if dim else None, markup=False, highlight=False, soft_wrap=True
        )

    def _say_end_of_log(self, ended: Ended) -> None:
        for line in ended.last_lines(LAST_LINES):
            self.say(f"    {line}")
        self.say(f"    the whole log: {log_file(ended.stage)}")

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("running", "on", "time", "progress"):
            table.add_column(heading, no_wrap=True)
        now = time.monotonic()
        for stage, row in self._rows.items():
            where = host_of(stage) or row.where
            table.add_row(stage, where, clock_time(now - row.began), last_progress(stage))
        elapsed = clock_time(self.elapsed())
        total = f"{self.done} of {self.total} stages, {elapsed} elapsed{self._left()}"
        return Group(table, Text(total, style="bold", no_wrap=True))

    def _place(self) -> str:
        return f"[{self.done}/{self.total}]"

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def _left(self) -> str:
        """From the pace so far; "" before there is any."""
        if not self.done or self.done == self.total:
            return ""
        seconds = self.elapsed() / self.done * (self.total - self.done)
        return f", about {rough_time(seconds)} left"


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
            stream.seek(max(0, stream.seek(0, 2) - _TAIL))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    found = list(_PROGRESS.finditer(text))
    if not found:
        return ""
    unit, done, total, left = found[-1].groups()
    return f"{unit} {done} of {total}, {rough_time(int(left))} left"
