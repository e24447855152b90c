"""The engine of a Ray cluster: stages as Ray tasks, each in a clone on the node that runs it."""

import contextlib
import logging
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from blemish.errors import UserError
from blemish.fanout import node
from blemish.fanout.engine import ON, Ended, log_file
from blemish.fanout.graph import Graph
from blemish.fanout.local import Local
from blemish.fanout.slots import Slot

CONFIG = Path(".dvc/config.local")
PASSED_ON = ("BLEMISH_", "AWS_", "MLFLOW_", "DVC_NO_ANALYTICS", "CUBLAS_")  # to the nodes' stages


class Board:
    """An actor of the head: what the stages print, by stage."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, str]] = {}

    def write(self, stage: str, host: str, text: str) -> None:
        self._texts[stage] = (host, text)

    def take(self) -> dict[str, tuple[str, str]]:
        """What is new since the last look."""
        texts, self._texts = self._texts, {}
        return texts


class Cluster:
    """Runs stages on the nodes of a Ray cluster.

    address: "auto" or host:port. per_gpu: stages on each GPU at once, where there are GPUs; on
    CPUs a stage takes one. remote: the DVC remote that carries results; None where all nodes see
    the head's cache folder. Raises UserError where Ray or the cluster is missing.
    """

    def __init__(
        self, address: str, bundle: bytes, environment: dict[str, str], retries: int,
        per_gpu: int, remote: str | None,
    ) -> None:  # fmt: skip
        self._ray = _connect(address)
        self._local = Local([], environment)
        resources = self._ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        count = gpus * per_gpu or int(resources.get("CPU", 0))
        if not count:
            raise UserError(f"the Ray cluster at {address} offers neither CPUs nor GPUs")
        self.slots = [Slot(f"{'gpu' if gpus else 'cpu'} of the cluster")] * count
        share = {"num_cpus": 0, "num_gpus": 1 / per_gpu} if gpus else {"num_cpus": 1}
        self._task = self._ray.remote(node.run_stage).options(max_retries=retries, **share)
        self._board = self._ray.remote(Board).options(num_cpus=0).remote()
        self._environment = {k: v for k, v in environment.items() if k.startswith(PASSED_ON)}
        cache = None if remote else _marked_cache(environment)
        config = CONFIG.read_text(encoding="utf-8") if CONFIG.exists() else ""
        job = node.Job(uuid.uuid4().hex[:8], bundle, config, cache, remote)
        self._job = self._ray.put(job)
        self._running: dict[Any, str] = {}
        if remote:
            _push(remote, environment)

    def graph(self, targets: list[str]) -> Graph:
        """The graph of the head's workspace."""
        return self._local.graph(targets)

    def start(self, stage: str, slot: Slot) -> None:
        """Hand a stage to Ray."""
        del slot  # Ray chooses the node
        task = self._task.remote(self._job, stage, self._environment, self._board)
        self._running[task] = stage

    def poll(self, seconds: float) -> list[Ended]:
        """The stages that ended; their logs, and those of the running ones, are brought here."""
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        found = [self._collect(task) for task in ended]
        with contextlib.suppress(self._ray.exceptions.RayError):
            texts = self._ray.get(self._board.take.remote(), timeout=10)
            for stage, (host, text) in texts.items():
                if stage in self._running.values():
                    _write_log(stage, host, text)
        return found

    def interrupt(self) -> None:
        """Cancel all tasks."""
        for task in self._running:
            self._ray.cancel(task, force=True)

    def tidy(self, order: list[str]) -> None:
        """The head's `dvc repro` writes dvc.lock in its own order."""
        del order

    def close(self) -> None:
        """Leave the cluster."""
        self._local.close()
        self._ray.shutdown()

    def _collect(self, task: Any) -> Ended:
        stage = self._running.pop(task)
        try:
            result = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            _write_log(stage, "the cluster", f"error: the stage's worker was lost: {reason}\n")
            return Ended(stage, 1, lost=True)
        _write_log(stage, result.host, result.log)
        return Ended(stage, result.code)


def _connect(address: str) -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError("--cluster needs Ray: pip install 'blemish[ray]'") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"no Ray cluster at {address}: {reason}") from None
    return ray


def _marked_cache(environment: dict[str, str]) -> str:
    """The head's cache folder; a file in it lets nodes tell that they see the same one."""
    folder = Path(_dvc(["cache", "dir"], environment)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / node.MARK).write_text("Nodes of a cluster know the head's cache by this file.\n")
    return str(folder)


def _push(remote: str, environment: dict[str, str]) -> None:
    """What is done already need not be done by a node."""
    _dvc(["push", "--run-cache", "--remote", remote], environment)


def _dvc(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise UserError(f"dvc {words[0]}: {lines[-1].removeprefix('ERROR: ')}")
    return done.stdout.strip()


def _write_log(stage: str, host: str, text: str) -> None:
    log = log_file(stage)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"{ON}{host}\n{text}", encoding="utf-8")
