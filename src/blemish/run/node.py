"""What happens on a cluster's node: a stage in a clone of its own, its results into the cache.

A worker process keeps one clone for as long as it lives. Nothing but DVC's cache, or its remote,
carries results: the head restores them from there.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from blemish.core.errors import UserError
from blemish.run.clone import make_clone
from blemish.run.forks import Forks
from blemish.run.remote import MARK

LOOK = 2.0  # s between looks at a log
TAIL = 1 << 16  # bytes of a log that travel
PATIENCE = 600.0  # s that a remote may be out of reach
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # s before another try


@dataclass(frozen=True)
class Job:
    """What all stages of a run share.

    bundle: the commit. config: `.dvc/config.local` for the clones: the head's, with its remotes,
    and the cache. cache: the head's cache folder, seen by all nodes; or remote: a DVC remote that
    all reach.
    """

    name: str
    bundle: bytes
    config: bytes
    cache: str | None
    remote: str | None


@dataclass(frozen=True)
class Report:
    """A stage's host and the end of its log; when it has ended, DVC's exit code."""

    host: str
    log: str
    code: int | None = None


def run_stage(job: Job, stage: str, environment: dict[str, str]) -> Iterator[Report]:
    """Reproduce a stage in this worker's clone; needs come from the cache. Runs inside Ray.

    Yields a report now and then when the log has grown, and one with the exit code at the end.
    """
    host = os.uname().nodename
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    host += f" gpu {devices}" if devices else ""
    try:
        worker = Worker.of(job)
    except (OSError, UserError, subprocess.CalledProcessError) as error:
        said = " ".join(str(getattr(error, "stderr", "") or error).split())
        yield Report(host, f"error: {host}: {said}\n", 1)
        return
    worker.log.write_bytes(b"")
    environment = environment | ({"CUDA_VISIBLE_DEVICES": devices} if devices else {})
    with ThreadPoolExecutor(1) as thread:
        end = thread.submit(worker.run, stage, environment)
        told = ""
        while not wait([end], LOOK).done:
            if (text := tail(worker.log)) != told:
                told = text
                yield Report(host, text)
        yield Report(host, tail(worker.log), end.result())


def warm(name: str) -> None:
    """Let this node import DVC for run `name` while the head reads the graph. Runs inside Ray."""
    Worker.zygote(name)


class Worker:
    """A clone of the job's commit, and the zygote that runs DVC in it."""

    _only: "Worker | None" = None
    _zygote: Forks | None = None

    def __init__(self, job: Job) -> None:
        if job.cache and not Path(job.cache, MARK).exists():
            raise UserError(
                f"the cache {job.cache} is not the head's: share that folder with this node, or "
                "give --remote"
            )
        self.job = job
        self._forks = self.zygote(job.name)
        self.clone = make_clone(job.name, job.bundle, job.config, job.cache)
        self.log = self.clone / "stage.log"
        self._forks.folder = self.clone

    @classmethod
    def zygote(cls, name: str) -> Forks:
        """This process's zygote in run `name`, a new one where the last was killed."""
        if cls._zygote is None or not cls._zygote.alive:
            folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
            ours = {"PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}
            cls._zygote = Forks(dict(os.environ) | ours, name)
        return cls._zygote

    @classmethod
    def of(cls, job: Job) -> "Worker":
        """This process's worker, made when a job first comes and when its zygote is gone."""
        if cls._only is None or cls._only.job != job or not cls._only._forks.alive:
            cls._only = cls(job)
        return cls._only

    def run(self, stage: str, environment: dict[str, str]) -> int:
        """Reproduce the stage and push what it made; the exit code."""
        if not self.job.remote:
            return self._dvc(environment, "repro", stage)
        code = self._patiently(environment, "repro", "--pull", stage)
        if code:
            return code
        words = ["push", "--run-cache", "--remote", self.job.remote, stage]
        return self._patiently(environment, *words)

    def _patiently(self, environment: dict[str, str], *words: str) -> int:
        """A command that needs the remote, again and again while that is out of reach."""
        for pause in pauses():
            reason = self._out_of_reach()
            if not reason:
                code = self._dvc(environment, *words)
                # A push into a folder that is no longer mounted ends well, too.
                reason = self._out_of_reach()
                if not reason:
                    return code
            self._say(
                f"the remote {self.job.remote} is out of reach ({reason}): `dvc {words[0]}` is "
                f"tried again in {pause:.0f} s"
            )
            time.sleep(pause)
        self._say(
            f"error: the remote {self.job.remote} was out of reach for {PATIENCE / 60:.0f} min"
        )
        return 1

    def _out_of_reach(self) -> str:
        """Why the remote cannot be read; "" if it can."""
        try:
            self._forks.ask(do="see", remote=self.job.remote)
        except UserError as error:
            return str(error)
        return ""

    def _dvc(self, environment: dict[str, str], *words: str) -> int:
        self._forks.start("dvc", self.log, environment, "--wait-for-lock", *words)
        while not (ended := self._forks.ended(1.0)):
            pass
        return ended[0][1]

    def _say(self, line: str) -> None:
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def pauses() -> Iterator[float]:
    """Seconds to wait before another try, growing, until the patience is at its end."""
    end, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
    while time.monotonic() < end:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def tail(log: Path) -> str:
    """The end of a log."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL))
            return stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
