"""The process whose forks run DVC: it imports DVC once, so that a stage costs no start of its own.

Orders come as JSON lines on standard input and news leave as JSON lines on standard output. When
the input ends, the runner is gone, however it went, and all that runs is killed. With the name
of a run as its argument the process is a nursery: its forks are zygotes of that run's workers.
"""

import ctypes
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from blemish.run.mended import preload, restore_only
from blemish.run.nursery import breed

PR_SET_PDEATHSIG = 1  # of Linux
POLL = 0.02  # s between looks for ended children
NOT_CACHED = b"ERROR: failed to transfer "
Order = dict[str, Any]


def main() -> None:
    """Import DVC, then serve, or let others serve."""
    preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if len(sys.argv) > 1:
        breed(sys.argv[1], serve)
    else:
        serve()


def serve() -> None:
    """Obey until the input ends."""
    running: dict[int, str] = {}
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], POLL if running else None)
        if ready:
            read = os.read(0, 1 << 16)
            if not read:
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                obey(json.loads(line), running)
        for child, code in ended(running):
            say({"ended": running.pop(child), "code": code})
    for child in running:
        kill(child, signal.SIGKILL)
    for child in running:  # DVC takes the locks of one that nobody has waited for for held
        os.waitpid(child, 0)


def obey(order: Order, running: dict[int, str]) -> None:
    """Fork for an order, or pass a signal on to all that run."""
    if "signal" in order:
        for child in running:
            kill(child, order["signal"])
        return
    child = os.fork()
    if not child:
        code = 1
        try:
            begin(order)
            code = work(order)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException as error:
            print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    with suppress(OSError):  # the child does it too; whoever is first, signals reach the group
        os.setpgid(child, child)
    running[child] = order["stage"]


def begin(order: Order) -> None:
    """In the child: a group of its own, a log instead of the terminal, the folder to work in."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_the_zygote()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order["environment"])
    os.chdir(order["folder"])


def die_with_the_zygote() -> None:
    """Take the group along when the zygote is killed: Ray kills what a worker has started."""
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    with suppress(AttributeError):  # where there is no such call, as on macOS
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def work(order: Order) -> int:
    """DVC, or what needs DVC's insides. Returns the exit code."""
    if order["do"] == "restore":
        restore_only()
    if order["do"] in ("dvc", "restore"):
        return dvc(order["words"], Path(order["log"]))
    from blemish.run import graph, remote

    tasks: dict[str, Callable[[], None]] = {
        "plan": lambda: graph.write_plan(order["targets"], Path(order["out"])),
        "tidy": lambda: graph.order_lock_file(order["order"]),
        "mark": lambda: remote.mark_remote(order["remote"]),
        "see": lambda: remote.see_remote(order["remote"]),
    }
    tasks[order["do"]]()
    return 0


def dvc(words: list[str], log: Path) -> int:
    """DVC's exit code, and 1 where it lost a result and says 0: a full disk under its cache."""
    from dvc.cli import main as run

    before = log.stat().st_size
    code = run(words)
    with log.open("rb") as stream:
        stream.seek(before)
        return code or int(NOT_CACHED in stream.read())


def ended(running: dict[int, str]) -> list[tuple[int, int]]:
    """Children that are gone and their exit codes, negative for a signal; their groups are killed:
    what a killed DVC leaves behind must not write on."""
    found = []
    while running:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            break
        kill(child, signal.SIGKILL)
        found.append((child, os.waitstatus_to_exitcode(status)))
        if len(found) == len(running):
            break
    return found


def kill(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def say(news: dict[str, Any]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


if __name__ == "__main__":
    main()
