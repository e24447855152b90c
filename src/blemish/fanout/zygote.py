"""The process whose forks run DVC: it imports DVC once, so that a stage costs no start of its own.

Orders come as JSON lines on standard input and news leave as JSON lines on standard output. When
the input ends, the runner is gone, however it went, and all that runs is killed.
"""

import functools
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL = 0.02  # s between looks for ended children
RESTORING = 10  # niceness
NOT_CACHED = b"ERROR: failed to transfer "
# By name: nothing here calls them, and a linter would take plain imports out.
USED_BY_REPRO = (
    "configobj", "dvc._debug", "dvc.cachemgr", "dvc.cli.parser", "dvc.data_cloud", "dvc.dirs",
    "dvc.lock", "dvc.output", "dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.graph",
    "dvc.repo.index", "dvc.repo.metrics", "dvc.repo.open_repo", "dvc.repo.params",
    "dvc.repo.plots", "dvc.repo.reproduce", "dvc.repo.stage", "dvc.repo.status", "dvc.repo.trie",
    "dvc.rwlock", "dvc.scm", "dvc.stage.cache", "dvc.stage.run", "dvc.utils.strictyaml",
    "dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "networkx", "pyparsing",
    "ruamel.yaml",
)  # fmt: skip

Order = dict[str, Any]


def main() -> None:
    """Serve until the input ends."""
    preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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


def preload() -> None:
    """Import what `dvc repro` imports on its way, as DVC imports late, and build its parser."""
    for name in USED_BY_REPRO:
        importlib.import_module(name)
    one_parser()
    atomic_lock_file()
    empty_run_cache_is_no_error()


def one_parser() -> None:
    """DVC builds the parser of all its commands anew for each."""
    from dvc.cli import parser

    parser.get_main_parser = functools.cache(parser.get_main_parser)
    parser.get_main_parser()


def atomic_lock_file() -> None:
    """dvc.lock is written whole or not at all: DVC truncates it first, and a kill may come then."""
    from dvc.utils.serialize import _common, _yaml

    from blemish.files import finished_file

    def dump(path: Any, data: Any, dumper: Callable[..., None], **more: Any) -> None:
        more.pop("fs", None)  # dvc.lock is a file of this machine
        with (
            finished_file(Path(path).resolve()) as temporary,
            temporary.open("w", encoding="utf-8") as stream,
        ):
            dumper(data, stream, **more)

    _common._dump_data = _yaml._dump_data = dump


def empty_run_cache_is_no_error() -> None:
    """DVC makes the folder of a run-cache entry before the entry: a kill or a full disk in between
    leaves it empty, and DVC fails on it for ever with a TypeError. It holds nothing, that is all.
    """
    from dvc.stage.cache import StageCache, _get_stage_hash

    load = StageCache._load

    def load_if_any(self: Any, stage: Any) -> Any:
        key = _get_stage_hash(stage)
        folder = Path(self._get_cache_dir(key)) if key else None
        return (
            None if folder and folder.is_dir() and not any(folder.iterdir()) else load(self, stage)
        )

    StageCache._load = load_if_any


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
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order["environment"])
    os.chdir(order["folder"])


def work(order: Order) -> int:
    """DVC, or what needs DVC's insides. Returns the exit code."""
    if order["do"] == "restore":
        restore_only()
    if order["do"] in ("dvc", "restore"):
        return dvc(order["words"], Path(order["log"]))
    from blemish.fanout import graph, remote

    tasks: dict[str, Callable[[], None]] = {
        "plan": lambda: graph.write_plan(order["targets"], Path(order["out"])),
        "tidy": lambda: graph.order_lock_file(order["order"]),
        "mark": lambda: remote.mark_remote(order["remote"]),
        "see": lambda: remote.see_remote(order["remote"]),
    }
    tasks[order["do"]]()
    return 0


def restore_only() -> None:
    """From here on DVC takes results from its cache, and fails on a stage that would have to run.

    It gives way to stages, which may run on this machine, too.
    """
    from dvc.exceptions import DvcException
    from dvc.stage import run

    def refuse(stage: Any, **_: Any) -> None:
        raise DvcException(f"the cache has no result of {stage.addressing}")

    run.cmd_run = refuse
    os.nice(RESTORING)


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
