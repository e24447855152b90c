"""What happens on a cluster's node: a stage in a clone of its own, its results into the cache.

A worker process keeps one clone for as long as it lives. Nothing but DVC's cache, or its remote,
carries results: the head restores them from there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.files import process_is_alive

CLONES = Path(tempfile.gettempdir()) / "blemish-clones"
LOOK = 2.0  # s between looks at a log
TAIL = 1 << 16  # bytes of a log that travel


@dataclass(frozen=True)
class Job:
    """What all stages of a run share.

    bundle: the commit. config: `.dvc/config.local` of the head, with its remotes. cache: the head's
    cache folder, seen by all nodes; or remote: a DVC remote that all reach.
    """

    name: str
    bundle: bytes
    config: str
    cache: str | None
    remote: str | None


@dataclass(frozen=True)
class Result:
    """A stage's end: DVC's exit code and the end of its log."""

    code: int
    log: str
    host: str


def run_stage(job: Job, stage: str, environment: dict[str, str], board: Any) -> Result:
    """Reproduce a stage in this worker's clone; needs come from the cache. Runs inside Ray."""
    host = os.uname().nodename
    try:
        clone = clone_of(job)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return Result(1, f"error: {host}: no clone of the project: {said}\n", host)
    if job.cache and not Path(job.cache, MARK).exists():
        return Result(
            1,
            f"error: {host}: the cache {job.cache} is not the head's: share that folder with this "
            "node, or give --remote\n",
            host,
        )
    log = clone / "stage.log"
    pull = ["--pull"] if job.remote else []
    with log.open("wb") as stream, _Reporter(board, stage, host, log):
        code = _dvc(clone, ["repro", *pull, stage], environment, stream)
        if not code and job.remote:
            code = _dvc(
                clone, ["push", "--run-cache", "-r", job.remote, stage], environment, stream
            )
    return Result(code, tail(log), host)


MARK = "blemish-head"  # lies in the head's cache, by which nodes know it


def clone_of(job: Job) -> Path:
    """This process's clone of the job's commit, made when first asked for."""
    for left in CLONES.glob("*-*"):
        if not process_is_alive(left.name.rpartition("-")[2]):
            shutil.rmtree(left, ignore_errors=True)
    clone = CLONES / f"{job.name}-{os.getpid()}"
    if (clone / ".dvc" / "config.local").exists():
        return clone
    shutil.rmtree(clone, ignore_errors=True)
    CLONES.mkdir(parents=True, exist_ok=True)
    bundle = clone.with_suffix(".bundle")
    bundle.write_bytes(job.bundle)
    for words in (
        ["init", "--quiet", str(clone)],
        ["-C", str(clone), "fetch", "--quiet", str(bundle), "refs/blemish/shipped"],
        ["-C", str(clone), "checkout", "--quiet", "--detach", "FETCH_HEAD"],
    ):
        subprocess.run(["git", *words], check=True, capture_output=True, text=True)
    bundle.unlink()
    (clone / ".dvc" / "config.local").write_text(job.config, encoding="utf-8")
    if job.cache:
        words = ["config", "--local", "cache.dir", job.cache]
        subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=clone, check=True, capture_output=True, text=True,
        )  # fmt: skip
    return clone


def tail(log: Path) -> str:
    """The end of a log."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL))
            return stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


class _Reporter:
    """Sends the end of a growing log to the head's board, now and then."""

    def __init__(self, board: Any, stage: str, host: str, log: Path) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, args=(board, stage, host, log))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _report(self, board: Any, stage: str, host: str, log: Path) -> None:
        seen = None
        while True:
            text = tail(log)
            if text != seen:
                seen = text
                board.write.remote(stage, host, text)
            if self._stop.wait(LOOK):
                return


def _dvc(clone: Path, words: list[str], environment: dict[str, str], stream: Any) -> int:
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    given = os.environ | environment | {"PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}
    # A stage finds its code in its clone; Ray's own settings are none of its business.
    given = {key: value for key, value in given.items() if key != "PYTHONPATH"}
    return subprocess.call(
        [sys.executable, "-m", "dvc", "--wait-for-lock", *words],
        cwd=clone, env=given, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
    )  # fmt: skip
