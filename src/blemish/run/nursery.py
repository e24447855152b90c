"""Where zygotes come from: a process each, or forks of the one process of a node that has DVC.

DVC's import costs half a second and 80 MB: the workers of a cluster's node pay it once together.
"""

import os
import select
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from blemish.run.clone import clones

LINGER = 5.0  # s without any zygote, after which a nursery ends
PATIENCE = 60.0  # s for a nursery's imports
ZYGOTE = [sys.executable, "-m", "blemish.run.zygote"]
READY = b"\n"  # what a zygote of a nursery says first: an empty line of news


def spawned(environment: dict[str, str]) -> socket.socket:
    """The line to a zygote of its own."""
    ours, its = socket.socketpair()
    with its:
        subprocess.Popen(
            ZYGOTE, stdin=its.fileno(), stdout=its.fileno(), env=_with_blemish(environment),
            process_group=0,  # Ctrl-C reaches the children from here, once
        )  # fmt: skip
    return ours


def shared(name: str, environment: dict[str, str]) -> socket.socket:
    """The line to a zygote of the nursery that the processes of a run `name` share on this node.

    The first that asks starts it, in its environment; where none can be, the zygote is spawned.
    """
    with FileLock(clones() / "nursery.lock"):
        with suppress(OSError):
            return _found(name)
        nursery = subprocess.Popen(
            [*ZYGOTE, name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env=_with_blemish(environment), start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while nursery.poll() is None and time.monotonic() < end:
            with suppress(OSError):
                return _found(name)
            time.sleep(0.02)
    return spawned(environment)


def breed(name: str, serve: Callable[[], None]) -> None:
    """Fork a zygote, which is to `serve`, for each process of the run `name` that connects.

    Ends when there has been none for a while. Zygotes outlive their nursery if it is killed.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        path = clones() / f"{name}.nursery-{os.getpid()}"
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(128)
        children, lonely = set[int](), time.monotonic()
        while children or time.monotonic() - lonely < LINGER:
            if select.select([listener], [], [], LINGER / 10)[0]:
                children.add(_fork(listener, serve))
            while children and (gone := os.waitpid(-1, os.WNOHANG)[0]):
                children.discard(gone)
                lonely = time.monotonic()
        path.unlink(missing_ok=True)


def _fork(listener: socket.socket, serve: Callable[[], None]) -> int:
    line, _ = listener.accept()
    with line:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            listener.close()
            os.dup2(line.fileno(), 0)
            os.dup2(line.fileno(), 1)
            line.close()
            os.write(1, READY)
            serve()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)


def _found(name: str) -> socket.socket:
    """The line to a zygote of a living nursery. Raises OSError if there is none."""
    for path in clones().glob(f"{name}.nursery-*"):
        line = socket.socket(socket.AF_UNIX)
        with suppress(OSError):
            line.settimeout(PATIENCE)
            line.connect(str(path))
            if line.recv(len(READY)) == READY:  # a dying nursery takes connections, too
                line.settimeout(None)
                return line
        line.close()
    raise FileNotFoundError(name)


def _with_blemish(environment: dict[str, str]) -> dict[str, str]:
    paths = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
