"""`make repro` and `blemish run`: DVC reproduces the graph, this says how far it is.

DVC prints a line when a stage starts, is restored from its cache, or is up to date. Those lines
become numbered ones with the time gone and left; what the stages print passes through; DVC's
advice on git and remotes is left out.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean

from rich.console import Console

from blemish.run.interrupts import signals_as_interrupt
from blemish.run.times import clock_time, kind_of, rough_time

# `always_changed` in dvc.yaml: these run every time, and that is not work to be done.
ALWAYS_RUN = frozenset({"track"})
INTERRUPTED = 130
GRACE = 20  # s that interrupted stages get to clean up

_RUNNING = re.compile(r"Running stage '(.+)':")
_CACHED = re.compile(r"Stage '(.+)' is cached - skipping run, checking out outputs")
_UNCHANGED = re.compile(r"Stage '(.+)' didn't change, skipping")
_SAVED = re.compile(r"(Updating|Generating) lock file 'dvc\.lock'")
_ADVICE = re.compile(
    r"\s*|Data and pipelines are up to date\.|To track the changes with git, run:|\tgit add .*"
    r"|To enable auto staging, run:|\tdvc config core\.autostage true|Use `dvc push` to send .*"
)


def run(
    targets: list[str], console: Console, *, brief: bool = False, options: tuple[str, ...] = ()
) -> int:
    """Reproduce `targets` (stage names; none means all); return DVC's exit code, 130 on Ctrl-C.

    128 + n if signal n killed DVC, as a shell would say. brief: nearly all has just run; neither
    the plan nor a success is worth a line. options: of `dvc repro`.

    Standard error of DVC and of the stages goes straight to the terminal, so that their errors
    stand where they happen and their progress bars work.
    """
    progress = Progress([] if brief else planned(targets), console)
    progress.say_plan()
    with signals_as_interrupt():
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", *options, *targets],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # A group of its own: an interruption reaches DVC and its stage once, from here.
            process_group=0,
        )
        try:
            for line in process.stdout or ():
                progress.read(line.rstrip("\n"))
            code = process.wait()
        except KeyboardInterrupt:
            _end(process)
            progress.say_interrupted()
            return INTERRUPTED
    if code or not brief:
        progress.say_end(code)
    return code if code >= 0 else 128 - code


def environment() -> dict[str, str]:
    """What DVC runs in: `python` in a stage's command is this Python, and prints at once."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    given = os.environ | {"PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}
    return {"DVC_NO_ANALYTICS": "1"} | given


def planned(targets: list[str]) -> list[str]:
    """The stages that reproducing `targets` looks at, ancestors included.

    Empty where DVC cannot say; `dvc repro` then stops with DVC's own error.
    """
    if not targets:
        return dvc_lines("stage", "list", "--name-only")
    nodes = (line for target in targets for line in dvc_lines("dag", "--dot", target))
    named = (re.fullmatch(r'"([^"]+)";', node) for node in nodes)
    return list(dict.fromkeys(match[1] for match in named if match))


def dvc_lines(*words: str, folder: Path = Path()) -> list[str]:
    """What a `dvc` command prints, run in a folder; nothing if it fails."""
    command = [sys.executable, "-m", "dvc", *words]
    listed = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, encoding="utf-8"
    )
    return listed.stdout.splitlines() if listed.returncode == 0 else []


class Progress:
    """Follows DVC's lines and prints what a reader needs of them."""

    def __init__(
        self,
        stages: list[str],
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        up_to_date: Iterable[str] = (),
    ) -> None:
        self.stages = stages
        self.console = console
        self.clock = clock
        self.began = clock()
        self.visited: dict[str, None] = dict.fromkeys(up_to_date)
        self.ran: set[str] = set()
        self.cached: set[str] = set()
        self.unchanged: set[str] = set(self.visited)
        self.current: str | None = None
        self.since = self.began
        self.durations: dict[str, list[float]] = defaultdict(list)
        self.command_follows = False

    def read(self, line: str) -> None:
        """Take one line of `dvc repro`."""
        if match := _RUNNING.fullmatch(line):
            self._start(match[1])
        elif match := _CACHED.fullmatch(line):
            self._finish()
            self._visit(match[1], self.cached)
            self._say(f"{self._place()} {match[1]}  restored from the cache")
        elif match := _UNCHANGED.fullmatch(line):
            self._finish()
            self._visit(match[1], self.unchanged)
        elif _SAVED.fullmatch(line):
            self._finish()
        elif self.command_follows and line.startswith("> "):
            self.command_follows = False
        elif not _ADVICE.fullmatch(line):
            self._say(f"    {line}", dim=True)

    def _start(self, stage: str) -> None:
        self._finish()
        self._visit(stage, self.ran)
        self.current, self.since = stage, self.clock()
        self.command_follows = True
        elapsed = clock_time(self.since - self.began)
        self._say(f"{self._place()} {stage}  {elapsed} elapsed{self.time_left()}", bold=True)

    def _finish(self) -> None:
        if self.current:
            self.durations[kind_of(self.current)].append(self.clock() - self.since)
        self.current = None

    def _visit(self, stage: str, outcome: set[str]) -> None:
        self.visited[stage] = None
        outcome.add(stage)

    def time_left(self) -> str:
        """From the mean time of the stages of each kind that ran; "" before there is any."""
        rest = [s for s in self.stages if s not in self.visited or s == self.current]
        kinds = [kind_of(stage) for stage in rest]
        seconds = sum(mean(self.durations[kind]) for kind in kinds if kind in self.durations)
        if seconds < 1:
            return ""
        known = all(kind in self.durations or kind in ALWAYS_RUN for kind in kinds)
        return f", {'about' if known else 'at least'} {rough_time(seconds)} left"

    def say_plan(self) -> None:
        """How many stages of each kind there are, before anything runs."""
        if self.stages:
            kinds = Counter(stage.partition("@")[0] for stage in self.stages)
            each = ", ".join(name if n == 1 else f"{name} ×{n}" for name, n in kinds.items())
            self._say(f"{_stages(len(self.stages))}: {each}")

    def say_end(self, code: int) -> None:
        """What was done, or that nothing was to do, or what failed and how to go on."""
        work = self.ran - ALWAYS_RUN
        if code:
            where = f"{self.current} failed" if self.current else "DVC stopped"
            why = "see the error above" if code > 0 else f"DVC was killed by signal {-code}"
            self._say(f"{where}: {why}.{self._kept()}", bold=True)
        elif work or self.cached:
            elapsed = clock_time(self.clock() - self.began)
            restored, same = len(self.cached), len(self.unchanged)
            self._say(
                f"done in {elapsed}: {_stages(len(work))} ran, {restored} restored from the "
                f"cache, {same} unchanged",
                bold=True,
            )
        else:
            total = len(self.unchanged | (self.visited.keys() & ALWAYS_RUN))
            self._say(f"nothing to do: all {_stages(total)} are up to date", bold=True)

    def say_interrupted(self) -> None:
        """What an interruption keeps."""
        place = f" in {self.current}" if self.current else ""
        self._say(f"interrupted{place}.{self._kept()}", bold=True)

    def _kept(self) -> str:
        done = len(self.visited) - (self.current is not None)
        if not done:
            return ""
        return f" What {_stages(done)} made is whole and kept; `make repro` goes on from there."

    def _place(self) -> str:
        total = f"/{len(self.stages)}" if self.stages else ""
        return f"[{len(self.visited)}{total}]"

    def _say(self, text: str, *, bold: bool = False, dim: bool = False) -> None:
        style = "bold" if bold else "dim" if dim else None
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _stages(count: int) -> str:
    return f"{count} stage" if count == 1 else f"{count} stages"


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt DVC and its stage; kill what is left after the grace, or on a second Ctrl-C."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=GRACE)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        process.wait()
