"""`blemish run`: the pending stages side by side, then those that always run."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass

from rich.console import Console

from blemish.run.cluster import Cluster
from blemish.run.engine import Ended, Engine, log_file
from blemish.run.forks import Forks
from blemish.run.graph import Graph
from blemish.run.interrupts import signals_as_interrupt
from blemish.run.local import Local
from blemish.run.pool import LOOK, Pool, Tally
from blemish.run.runner import INTERRUPTED, Progress, environment
from blemish.run.runner import run as run_serially
from blemish.run.screen import Screen
from blemish.run.ship import ship
from blemish.run.slots import Slot
from blemish.run.times import clock_time

SLOWEST = 5


@dataclass(frozen=True)
class ClusterOptions:
    """Where the cluster is, and how results come back."""

    address: str
    per_gpu: int = 1
    remote: str | None = None
    include_uncommitted: bool = False
    overridden: bool = False  # params.yaml holds overrides of this command


def run(targets: list[str], slots: list[Slot], console: Console, retries: int) -> int:
    """Reproduce `targets` (stage names; none means all) in the slots of this machine.

    Returns 0, or 1 if stages failed, or 130 on Ctrl-C.
    """
    if len(slots) < 2:
        return run_serially(targets, console)
    engine = Local(slots, Forks(environment()))
    try:
        with closing(engine), signals_as_interrupt():
            graph = engine.graph(targets)
            done = fan_out(graph, engine, console, retries)
            if done is not False:
                engine.tidy(graph.whole)
            return 1 if done is None else run_last(graph, engine, console, brief=done)
    except KeyboardInterrupt:
        return INTERRUPTED


def run_last(graph: Graph, engine: Local, console: Console, *, brief: bool) -> int:
    """Run what always runs, all else being in place; say so unless `brief`. DVC's exit code."""
    last = graph.last()
    rest = [stage for stage in graph.order if stage not in last]
    progress = Progress(graph.order, console, up_to_date=rest)
    if not brief:
        progress.say_plan()
    code = 0
    try:
        for stage in last:
            code = code or _follow(stage, engine, progress)
    except KeyboardInterrupt:
        engine.interrupt()
        progress.say_interrupted()
        raise
    if code or not brief:
        progress.say_end(code)
    return code if code >= 0 else 128 - code


def _follow(stage: str, engine: Local, progress: Progress) -> int:
    """Run a stage and show what it prints as it comes."""
    engine.start(stage, engine.slots[0])
    ended: list[Ended] = []
    rest = ""
    with log_file(stage).open(encoding="utf-8", errors="replace") as log:
        while not ended:
            ended = engine.poll(LOOK)
            *lines, rest = (rest + log.read()).split("\n")
            for line in lines:
                progress.read(line)
    return ended[0].code


def run_on_cluster(
    targets: list[str], options: ClusterOptions, console: Console, retries: int
) -> int:
    """As `run`, on a Ray cluster; results are restored here as they come.

    What cannot be restored is left to a plain `dvc repro`, which restores or runs it.
    Raises UserError for a missing cluster and for uncommitted files.
    """
    bundle = ship(options.overridden, options.include_uncommitted)
    engine = Cluster(options.address, bundle, environment(), options.per_gpu, options.remote)
    try:
        with closing(engine), signals_as_interrupt():
            graph = engine.graph(targets)
            done = fan_out(graph, engine, console, retries)
            if done is None:
                engine.settle()
                return 1
            if engine.restored():
                engine.leave()
                engine.head.tidy(graph.whole)
                return run_last(graph, engine.head, console, brief=done)
    except KeyboardInterrupt:
        return INTERRUPTED
    pull = ("--pull",) if options.remote else ()
    return run_serially(targets, console, brief=done, options=pull)


def fan_out(graph: Graph, engine: Engine, console: Console, retries: int) -> bool | None:
    """Run what is out of date.

    Returns whether anything was, or None if stages failed: those are named with the end of their
    logs, and whatever did not need them has run. KeyboardInterrupt ends the stages tidily and is
    raised again.
    """
    pending = graph.pending()
    if not pending:
        return False
    kinds = Counter(stage.partition("@")[0] for stage in pending)
    each = ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in kinds.items())
    with Screen(console, len(pending)) as screen:
        slots = Counter(slot.name.partition(" ")[0] for slot in engine.slots)
        places = ", ".join(f"{count} on {name}" for name, count in slots.items())
        screen.say(f"{len(pending)} of {len(graph.order)} stages, at once {places}: {each}")
        pool = Pool(graph, engine, screen, retries)
        try:
            tally = pool.run()
        except KeyboardInterrupt:
            engine.interrupt()
            screen.say(
                f"interrupted: {len(pool.tally.outcomes)} of {len(pending)} stages had ended; what "
                "they made is whole and kept, and the same command goes on from there"
            )
            raise
    summarise(tally, screen)
    return None if tally.failed else True


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
