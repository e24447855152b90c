"""What is asked of DVC: the plan of the graph, and one stage reproduced.

This runs in children of a `multiprocessing` fork server that has imported DVC once; everything
goes through DVC's own interface. How a stage's command ended is told by the shell that DVC runs
it with (`$SHELL`), not read from what DVC prints.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

import dvc.lock
from dvc.cli import parse_args
from dvc.dependency.base import Dependency
from dvc.exceptions import DvcException, OutputNotFoundError
from dvc.logger import set_loggers_level
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage
from dvc.utils.serialize import modify_yaml

from blemish.core.surroundings import adapt_to_surroundings
from blemish.run.mending import LOCK, mend
from blemish.run.messages import Command, Graph, Result

WAITING = parse_args(["--wait-for-lock", "repro"])
LOOK = 0.01  # s between looks for DVC's lock


def plan(targets: list[str]) -> Graph | Result:
    """The graph of the workspace, or the part that `targets` need; "busy" where another DVC uses
    it. DVC's errors are raised. Looks first for what a killed DVC left.
    """
    mend_workspace()
    try:
        return _graph(targets)
    except dvc.lock.LockError as error:
        return Result("busy", str(error))


def _graph(targets: list[str]) -> Graph:
    # dvc.lock is read once, which is most of the time of a run with nothing to do.
    with Repo() as repo, repo.lock:
        graph = get_active_graph(repo.index.graph)
        defined = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        whole = plan_repro(graph, defined)
        stages = plan_repro(graph, collect_stages(repo, targets)) if targets else whole
        wanted = set(_names(stages))
        upstream = {
            stage.addressing: [
                needed.addressing
                for needed in graph.successors(stage)
                if needed.addressing in wanted
            ]
            for stage in stages
        }
        return Graph(
            order=_names(stages),
            upstream=upstream,
            changed=_names(stage for stage in stages if stage.status(check_updates=True)),
            always=_names(stage for stage in stages if stage.always_changed),
            whole=_names(whole),
            looks=_names(stage for stage in stages if (stage.meta or {}).get("looks")),
        )


def _names(stages: Iterable[Stage]) -> list[str]:
    return [stage.addressing for stage in stages]


def mend_workspace() -> None:
    """Mend what a killed DVC left, while no other one writes."""
    with _repository() as repo, repo.lock:
        mend(Path(repo.stage_cache.cache_dir).parent)


def cache_folder() -> str:
    """DVC's cache folder."""
    return str(Path(Repo().stage_cache.cache_dir).parent.resolve())


def reproduce(stage: str, notes: Path) -> Result:
    """Do what `dvc repro --single-item` does, waiting for DVC's lock.

    notes: the path beside which the shell notes beginning and end of the command, see `local`.
    """
    with _repository() as repo:
        return _reproduce(repo, stage, notes)


def _reproduce(repo: Repo, stage: str, notes: Path) -> Result:
    try:
        done: list[Stage] = repo.reproduce(targets=[stage], single_item=True)
        if not done:
            return Result("unchanged")
        if lost := [out for out in done[0].outs if out.use_cache and out.changed_cache()]:
            # DVC reports success where its cache cannot take a result.
            print(f"ERROR: the cache did not take {lost[0]}: is its disk full?", flush=True)
            return Result("failed")
    except dvc.lock.LockError as error:
        return Result("busy", str(error))
    except DvcException as error:
        return _failure(error, notes)
    return Result("ran" if _note(notes, "began") is not None else "cached")


def reproduce_elsewhere(stage: str, notes: Path, line: connection.Connection) -> Result:
    """As `reproduce`, but whoever is at the other end of the line runs the stage's command.

    What reads files from outside the project, and stages whose `meta` in dvc.yaml says
    `cluster: head`, run here.
    """
    # One lock around both, so that DVC reads its files once.
    with _repository() as repo, lock_repo(repo):
        target = next(other for other in repo.index.stages if other.addressing == stage)
        here = (target.meta or {}).get("cluster") == "head" or target.always_changed
        here = here or not all(dep.is_in_repo for dep in target.deps)
        inputs = [] if here else [pair for dep in target.deps for pair in _made(repo, dep)]
        outputs = [out.def_path for out in target.outs]
        ask = partial(_ask, stage, notes, line, None if here else (inputs, outputs))
        threading.Thread(target=ask, daemon=True).start()
        return _reproduce(repo, stage, notes)


def _made(repo: Repo, dependency: Dependency) -> list[tuple[str, str]]:
    """Paths and hashes of what stages made of a dependency: itself, what it holds, or a part of it;
    nothing for a file of the project's own."""
    path = dependency.fs_path
    with suppress(OutputNotFoundError):
        held = repo.find_outs_by_path(path, recursive=True)
        return [(out.def_path, out.hash_info.value) for out in held]
    with suppress(OutputNotFoundError):
        repo.find_outs_by_path(path, strict=False)
        return [(dependency.def_path, dependency.get_hash().value)]
    return []


def _ask(
    stage: str,
    notes: Path,
    line: connection.Connection,
    paths: tuple[list[tuple[str, str]], list[str]] | None,
) -> None:
    """Wait until the shell asks for a command to be run, and tell it how that ended."""
    while True:
        text = Path(f"{notes}.ask").read_text(
            encoding="utf-8", errors="surrogateescape"
        )  # a pipe, that waits for the shell
        status: int | str = "here"
        if paths is not None:
            line.send(Command(stage, text, *paths))
            status = line.recv()
        Path(f"{notes}.answer").write_text(f"{status}\n")


def _repository() -> Repo:
    """The workspace's, which waits for DVC's lock as long as it takes."""
    dvc.lock.DEFAULT_TIMEOUT = (
        6 * LOOK
    )  # DVC divides it by six; its own half a second between two looks is too long here
    repo: Repo = WAITING.func(WAITING).repo
    return repo


def _failure(error: DvcException, notes: Path) -> Result:
    """Print the chain of DVC's words, as its command does; a signal is no fault of the stage."""
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__:
        causes.append(cause)
    if any(isinstance(cause, dvc.lock.LockError) for cause in causes):
        return Result("busy", str(causes[-1]))
    print(f"ERROR: {': '.join(str(cause) for cause in causes)}", flush=True)
    status = _note(notes, "ended")
    began = _note(notes, "began") is not None
    return Result("killed" if began and (not status or int(status) > 128) else "failed")


def _note(notes: Path, name: str) -> str | None:
    try:
        return notes.with_name(f"{notes.name}.{name}").read_text().strip()
    except FileNotFoundError:
        return None


def order_lock_file(order: list[str]) -> None:
    """Put the stages of dvc.lock in this order; others keep theirs, at the end.

    Stages that ran side by side were written as they ended; a serial run writes them as it visits
    them, and equal results should be equal files.
    """
    if not LOCK.exists():
        return
    with _repository() as repo, repo.lock, modify_yaml(LOCK) as content:
        stages = content["stages"]
        names = [name for name in order if name in stages]
        if list(stages)[: len(names)] != names:
            for name in [*names, *(name for name in stages if name not in names)]:
                stages.move_to_end(name)


def child(
    task: Callable[..., Any],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    log: Path | None,
    answer: connection.Connection,
) -> None:
    """What a child of the fork server does: the task, whose value or error it sends back.

    It leads a process group, which ends with the runner, however that ends.
    """
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    _redirect(log)
    adapt_to_surroundings()
    try:
        more = (answer,) if task is reproduce_elsewhere else ()
        with set_loggers_level(logging.WARNING):  # the log is the stage's own, and what goes wrong
            answer.send((task(*arguments, *more),))
    except (DvcException, OSError) as error:
        answer.send(error if isinstance(error, OSError) else DvcException(str(error)))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


def _redirect(log: Path | None) -> None:
    """Standard output and error go to the log, or nowhere; there is nothing to read."""
    sys.stdout.flush()
    target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    source = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((source, 0), (target, 1), (target, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor) if standard != 1 else None
