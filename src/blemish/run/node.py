"""A stage's command on a node of a Ray cluster, in a folder of its own.

The folder holds links to the project's code, which Ray brings (`runtime_env`), and to the inputs,
which lie once on each node under DVC's hash of them. What the command makes goes back through
Ray's object store.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from filelock import FileLock

from blemish.core.files import finished_folder

# BLEMISH_NODE_FOLDER: where a node keeps what it needs, if not in its temporary folder.
HERE = Path(
    os.environ.get("BLEMISH_NODE_FOLDER")
    or Path(tempfile.gettempdir(), f"blemish-node-{os.getuid()}")
)
MARK = "blemish-head"  # in a cache that the head uses: an unmounted folder is an empty folder
SHARED_CHECKPOINTS = "blemish-checkpoints"  # where they lie in a shared cache
LOOK = 1.0  # s between looks at a log
CHUNK = 1 << 16  # bytes of a log that travel at once
# Ends a command's process group when the worker is gone without a word. It forks and leaves the
# worker's session, since Ray kills a worker's children with it; what it reads is the group.
GUARD = """
import os, signal, sys
if os.fork():
    os._exit(0)
os.setsid()
group = sys.stdin.readline()
if group and not sys.stdin.read():
    os.killpg(int(group), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Input:
    """What a command reads: a path in the project, DVC's hash, and Ray's reference to a tar of it,
    None where nodes take it from the shared cache."""

    path: str
    key: str
    content: Any = None


@dataclass(frozen=True)
class Job:
    """A command with all that it needs. cache: DVC's cache on the head, "" to share none."""

    command: str
    inputs: list[Input]
    outputs: list[str]
    environment: dict[str, str]
    cache: str


@dataclass(frozen=True)
class Report:
    """What a command printed since the last report; at its end its status and a tar of outputs.

    unseen: the node does not see the shared cache, and nothing was run.
    """

    host: str
    text: str
    status: int | None = None
    outputs: bytes = b""
    unseen: bool = False


@dataclass
class Log:
    """A growing file, read piece by piece."""

    path: Path
    at: int = field(default=0)

    def more(self) -> str:
        """What came since the last call, the last part of it where that is much."""
        with self.path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(self.at, size - CHUNK))
            self.at = size
            return stream.read().decode("utf-8", "replace")


def run_command(job: Job) -> Iterator[Report]:
    """Run a stage's command and report. Runs inside Ray, in the project's code."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    host = os.uname().nodename + (f" gpu {devices}" if devices else "")
    shared = bool(job.cache) and (Path(job.cache) / MARK).is_file()
    if not shared and any(needed.content is None for needed in job.inputs):
        yield Report(host, "", unseen=True)
        return
    HERE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"work-{os.getpid()}-", dir=HERE) as name:
        folder = Path(name)
        project = Path.cwd()
        kept = {"checkpoints": HERE / "checkpoints", "data/store": HERE / "store"}
        if shared:
            kept["checkpoints"] = Path(job.cache, SHARED_CHECKPOINTS)
        _lay_out(project, folder, [*kept, *(i.path for i in job.inputs), *job.outputs])
        for path in job.outputs:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        for path, target in kept.items():
            target.mkdir(parents=True, exist_ok=True)
            _place(folder / path, target)
        for needed in job.inputs:
            _place(folder / needed.path, _stored(needed, job.cache if shared else ""))
        yield from _follow(job, folder, host)


def _follow(job: Job, folder: Path, host: str) -> Iterator[Report]:
    """Run the command, which ends with this worker, and report now and then."""
    log = Log(folder.with_suffix(".log"))
    ours = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    ours |= {"PYTHONUNBUFFERED": "1"} | job.environment
    guard = subprocess.Popen([sys.executable, "-S", "-c", GUARD], stdin=subprocess.PIPE, text=True)
    guard.wait()  # until it has left
    with log.path.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", job.command], cwd=folder, env=os.environ | ours, stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
    assert guard.stdin is not None
    guard.stdin.write(f"{process.pid}\n")
    guard.stdin.flush()
    try:
        while (status := _wait(process)) is None:
            if text := log.more():
                yield Report(host, text)
        made = [path for path in job.outputs if (folder / path).exists()]
        yield Report(host, log.more(), status, pack(folder, made) if status == 0 else b"")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # this worker may be told to end before it has
        process.wait()
        guard.communicate("done")
        log.path.unlink(missing_ok=True)


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    """The exit status, 128 + n if signal n ended it; None if it runs on."""
    try:
        status = process.wait(LOOK)
    except subprocess.TimeoutExpired:
        return None
    return status if status >= 0 else 128 - status


def _lay_out(project: Path, folder: Path, taken: list[str]) -> None:
    """Links to all of the project, but for the paths that are `taken` by something else."""
    folder.mkdir(exist_ok=True)
    for entry in project.iterdir():
        inside = [path.partition("/")[2] for path in taken if path.split("/")[0] == entry.name]
        if not inside:
            (folder / entry.name).symlink_to(entry)
        elif all(inside) and entry.is_dir():
            _lay_out(entry, folder / entry.name, inside)


def _place(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _stored(needed: Input, cache: str) -> Path:
    """Where an input lies on this node; fetched by whoever needs it first."""
    place = HERE / "inputs" / needed.key.replace("/", "_")
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not place.exists():
            with finished_folder(place) as folder:
                if cache:
                    link_from_cache(Path(cache), needed.key, folder / "content")
                else:
                    unpack(_get(needed.content), folder)
                    (folder / Path(needed.path).name).rename(folder / "content")
    return place / "content"


def _get(reference: Any) -> bytes:
    import ray

    content: bytes = ray.get(reference)
    return content


def link_from_cache(cache: Path, key: str, target: Path) -> None:
    """What DVC's cache holds under a hash, as links: a file, or the files that a `.dir` lists."""
    store = cache / "files" / "md5"
    if not key.endswith(".dir"):
        target.symlink_to(store / key[:2] / key[2:])
        return
    target.mkdir()
    for entry in json.loads((store / key[:2] / key[2:]).read_text(encoding="utf-8")):
        file = target / entry["relpath"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(store / entry["md5"][:2] / entry["md5"][2:])


def pack(folder: Path, paths: Iterable[str]) -> bytes:
    """A tar of files and folders below `folder`; links as what they point at."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
        for path in paths:
            archive.add(folder / path, arcname=path)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """The files of such a tar, in place of what is there."""
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        for path in {Path(member.name) for member in archive.getmembers()}:
            if (folder / path).is_symlink() or (folder / path).is_file():
                (folder / path).unlink()
        archive.extractall(folder, filter="data")


def mark(cache: Path) -> None:
    """Leave the mark in DVC's cache by which nodes know that they see it."""
    cache.mkdir(parents=True, exist_ok=True)
    (cache / MARK).write_text(f"The nodes of a cluster look for this file. {time.time()}\n")


def abandoned() -> list[Path]:
    """What lies on this machine of nodes: inputs, decoded images, checkpoints, work of the dead."""
    return sorted(HERE.iterdir()) if HERE.is_dir() else []


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
