"""`blemish run`: the pending stages side by side, then those that always run."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from blemish.core.errors import UserError
from blemish.run.children import ask, log_file
from blemish.run.incomplete import tell_incomplete
from blemish.run.local import Local, Slot
from blemish.run.mending import LOCK
from blemish.run.messages import Graph
from blemish.run.schedule import BUSY, Place, Schedule, Tally
from blemish.run.screen import Screen, clock_time, last_lines

INTERRUPTED = 130
SLOWEST = 5
AT_WORK = Path(".dvc/tmp/blemish-run.json")


@dataclass(frozen=True)
class ClusterOptions:
    """Where the cluster is; how many stages a GPU takes; whether nodes that see DVC's cache take
    their inputs from it, or all from Ray."""

    address: str
    per_gpu: int = 1
    share_cache: bool = True


def nothing() -> None:
    """The default of `prepare`: do nothing."""


def run(
    targets: list[str],
    slots: list[Slot],
    console: Console,
    retries: int,
    prepare: Callable[[], None] = nothing,
) -> int:
    """Reproduce `targets` (stage names; none means all) in the slots of this machine.

    prepare: what changes the workspace first, such as parameters; done once no other run is at
    work. Returns 0, or 1 if stages failed, or 130 on Ctrl-C.
    """
    return run_at(lambda: Local(slots), targets, console, retries, prepare)


def run_on_cluster(
    targets: list[str],
    options: ClusterOptions,
    console: Console,
    retries: int,
    prepare: Callable[[], None] = nothing,
) -> int:
    """The same with the stages' commands on a Ray cluster. Raises UserError for a missing one."""
    from blemish.run.cluster import Cluster

    def join() -> Place:
        cache = Path(ask("cache_folder")) if options.share_cache else None
        return Cluster(options.address, options.per_gpu, cache)

    return run_at(join, targets, console, retries, prepare)


def run_at(
    place_of_work: Callable[[], Place],
    targets: list[str],
    console: Console,
    retries: int,
    prepare: Callable[[], None] = nothing,
) -> int:
    """As `run`, at any `Place`. The place is made after `prepare`, because a cluster copies the
    workspace at that moment, and is closed in the end."""
    try:
        with signals_as_interrupt(), alone(console):
            prepare()
            with closing(place_of_work()) as place:
                graph, told = _plan(targets, console), set[str]()
                failed, changed = _run_first(graph, place, console, retries)
                graph = _plan(targets, console) if changed else graph
                tell_incomplete(graph.order, console, told)
                failed = failed or _run_pending(graph, place, console, retries)
                tell_incomplete(graph.order, console, told)
                failed = failed or _run_last(graph, place, console, retries)
                return 1 if failed else 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _plan(targets: list[str], console: Console) -> Graph:
    """What DVC says of the graph; another DVC that uses it is waited for."""
    told = False
    while True:
        try:
            graph = ask("plan", targets)
        except UserError as error:
            raise UserError(f"DVC cannot read the graph: {error}") from None
        if isinstance(graph, Graph):
            return graph
        if not told:
            reason = " ".join(graph.reason.split())
            console.print(f"this run waits for another DVC: {reason}", soft_wrap=True)
            told = True
        time.sleep(BUSY)


def _run_first(
    graph: Graph, place: Place, console: Console, retries: int
) -> tuple[list[str], bool]:
    """Run what sees changes that DVC does not; what failed, and whether there are any."""
    if not (first := graph.first()):
        return [], False
    console.print(f"looking for changes: {', '.join(first)}", highlight=False, soft_wrap=True)
    before = LOCK.read_bytes() if LOCK.exists() else b""
    with Screen(Console(quiet=True), first) as screen:
        tally = Schedule(graph, place, screen, retries).run(first)
    for stage in tally.failed:
        console.print(f"{stage} failed:", *last_lines(stage), sep="\n    ", markup=False)
    return tally.failed, not LOCK.exists() or LOCK.read_bytes() != before


def _run_pending(graph: Graph, place: Place, console: Console, retries: int) -> list[str]:
    """Run what is out of date; the stages that failed."""
    pending = graph.pending()
    if not pending:
        return []
    with Screen(console, pending, len(place.slots)) as screen:
        slots = Counter(slot.name.partition(" ")[0] for slot in place.slots)
        places = ", ".join(f"{count} on {name}" for name, count in slots.items())
        screen.say(
            f"{len(pending)} of {len(graph.order)} stages, at once {places}: {kinds(pending)}"
        )
        schedule = Schedule(graph, place, screen, retries)
        try:
            tally = schedule.run(pending)
        except KeyboardInterrupt:
            screen.say(
                f"interrupted: {len(schedule.tally.outcomes)} of {len(pending)} stages had ended; "
                "what they made is whole and kept, and the same command goes on from there"
            )
            raise
        finally:
            ask("order_lock_file", graph.whole)
        summarise(tally, screen)
    return tally.failed


def _run_last(graph: Graph, place: Place, console: Console, retries: int) -> list[str]:
    """Run what always runs, all else being in place, and show what it prints."""
    last = graph.last()
    quiet = Console(quiet=True)
    with Screen(quiet, last) as screen:
        tally = Schedule(graph, place, screen, retries).run(last)
    for stage in tally.outcomes:
        for line in log_file(stage).read_text(encoding="utf-8", errors="replace").splitlines():
            console.print(f"    {line}", style="dim", markup=False, highlight=False, soft_wrap=True)
    done = not tally.failed
    if not graph.pending() and done:
        console.print(f"nothing to do: all {count(len(graph.order))} are up to date", style="bold")
    for stage in tally.failed:
        console.print(f"{stage} failed: run the same command again, or `dvc repro {stage}`")
    return tally.failed


def kinds(stages: list[str]) -> str:
    """`first, train ×4`."""
    counts = Counter(stage.partition("@")[0] for stage in stages)
    return ", ".join(
        name if number == 1 else f"{name} ×{number}" for name, number in counts.items()
    )


def count(stages: int) -> str:
    """`1 stage`, `2 stages`."""
    return f"{stages} stage" if stages == 1 else f"{stages} stages"


def summarise(tally: Tally, screen: Screen) -> None:
    """What ran, what the cache gave, what was slow, what failed and what that kept from running."""
    counts = Counter(tally.outcomes.values())
    wall = max(1e-9, sum(tally.seconds.values()))
    elapsed = screen.elapsed()
    screen.say(
        f"{counts['ran']} ran, {counts['cached']} restored from the cache, "
        f"{counts['unchanged']} unchanged, {counts['failed']} failed in {clock_time(elapsed)}: "
        f"{wall / max(elapsed, 1e-9):.1f} stages at a time"
    )
    ran = [stage for stage, outcome in tally.outcomes.items() if outcome == "ran"]
    slow = sorted(ran, key=lambda stage: -tally.seconds[stage])[:SLOWEST]
    if len(ran) > 1:
        named = ", ".join(f"{stage} {clock_time(tally.seconds[stage])}" for stage in slow)
        screen.say(f"slowest: {named}")
    if tally.failed:
        screen.say(f"failed: {', '.join(tally.failed)}")
        if tally.blocked:
            screen.say(f"not begun, as they need those: {', '.join(tally.blocked)}")
        screen.say("what has run is kept: mend the cause and run the same command again")


@contextmanager
def alone(console: Console) -> Iterator[None]:
    """One `blemish run` a workspace at a time: a second one says who is at work, and waits."""
    if not Path(".dvc").is_dir():
        raise UserError("there is no .dvc folder here: run from the project's folder")
    AT_WORK.parent.mkdir(exist_ok=True)
    lock = FileLock(AT_WORK.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        console.print(f"another run is at work here ({_who()}): this one waits for its end")
        lock.acquire()
    try:
        facts = {"process": os.getpid(), "since": time.strftime("%H:%M:%S")}
        AT_WORK.write_text(json.dumps(facts), encoding="utf-8")
        yield
    finally:
        AT_WORK.unlink(missing_ok=True)
        lock.release()


def _who() -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(AT_WORK.read_text(encoding="utf-8"))
        return f"process {facts['process']}, since {facts['since']}"
    return "it has just begun"


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """End as tidily on a job manager's SIGTERM or a closed terminal as on Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in handled]
    try:
        yield
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
