"""The engine of a Ray cluster: stages as Ray tasks, each in a clone on the node that runs it."""

import io
import logging
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from configobj import ConfigObj

from blemish.core.errors import UserError
from blemish.run import node
from blemish.run.engine import ON, Ended, log_file
from blemish.run.forks import Forks
from blemish.run.graph import Graph
from blemish.run.local import GRACE, Local
from blemish.run.remote import mark_cache
from blemish.run.restore import Restorer
from blemish.run.slots import Slot

CONFIG = Path(".dvc/config.local")
CONNECT = 10.0  # s
PASSED_ON = ("BLEMISH_", "AWS_", "MLFLOW_", "DVC_NO_ANALYTICS", "CUBLAS_")  # to the nodes' stages


class Cluster:
    """Runs stages on the nodes of a Ray cluster; `head` is the engine of the workspace here.

    address: "auto" or host:port. per_gpu: stages on each GPU at once, where there are GPUs; on
    CPUs a stage takes one. remote: the DVC remote that carries results; None where all nodes see
    the head's cache folder. Raises UserError where Ray, the cluster or the remote is missing.
    """

    def __init__(
        self, address: str, bundle: bytes, environment: dict[str, str], per_gpu: int,
        remote: str | None,
    ) -> None:  # fmt: skip
        self._forks = Forks(environment)
        self.head = Local([Slot("head")], self._forks)
        self._ray = _connect(address)
        self._leaving = threading.Thread(target=self._leave)
        self._remote = remote
        self._restorer = Restorer(self._forks, log_file("restore"), pull=remote is not None)
        self._running: dict[Any, str] = {}
        resources = self._ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        count = gpus * per_gpu or int(resources.get("CPU", 0))
        if not count:
            raise UserError(f"the Ray cluster at {address} offers neither CPUs nor GPUs")
        self.slots = [Slot(f"{'gpu' if gpus else 'cpu'} of the cluster")] * count
        share = {"num_cpus": 0, "num_gpus": 1 / per_gpu} if gpus else {"num_cpus": 1}
        name = uuid.uuid4().hex[:8]
        warm = self._ray.remote(node.warm).options(**share)
        self._warming = [warm.remote(name) for _ in self.slots]
        # The pool tries again what was lost: two that do would try too often.
        self._task = self._ray.remote(node.run_stage).options(
            num_returns="streaming", max_retries=0, **share
        )
        self._environment = {k: v for k, v in environment.items() if k.startswith(PASSED_ON)}
        cache = None if remote else self._marked_cache()
        if remote:
            self._fill(remote)
        job = node.Job(name, bundle, _config(cache), cache, remote)
        self._job = self._ray.put(job)

    def graph(self, targets: list[str]) -> Graph:
        """The graph of the head's workspace."""
        return self.head.graph(targets)

    def start(self, stage: str, slot: Slot) -> None:
        """Hand a stage to Ray."""
        del slot  # Ray chooses the node
        log_file(stage).unlink(missing_ok=True)  # of an earlier run
        task = self._task.remote(self._job, stage, self._environment)
        self._running[task] = stage

    def poll(self, seconds: float) -> list[Ended]:
        """The stages that ended; logs, also of those that run, are brought here."""
        told, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        found = [ended for task in told if (ended := self._hear(task))]
        for one in found:
            if not one.code:
                self._restorer.add(one.stage)
        self._restorer.look()
        return found

    def interrupt(self) -> None:
        """Kill the workers of all tasks, and with them their stages."""
        ends = [task.completed() for task in self._running]
        for task in self._running:
            self._ray.cancel(task, force=True)
        if ends:  # who leaves the cluster before a cancellation has arrived leaves the stage, too
            self._ray.wait(ends, num_returns=len(ends), timeout=GRACE)
        self._restorer.stop()

    def settle(self) -> None:
        """Wait until what nodes have made is in the workspace, as far as it can be had."""
        self._restorer.settle()

    def restored(self) -> bool:
        """Whether all that nodes have made is in the workspace, as `dvc repro` would put it there.

        Waits for the remote. Raises UserError if patience ends.
        """
        self.settle()
        self.wait_for_remote()
        return self._restorer.try_again()

    def wait_for_remote(self) -> None:
        """Until it can be read: `dvc repro --pull` would run here what it cannot pull.

        Raises UserError if patience ends.
        """
        reason = ""
        for pause in node.pauses() if self._remote else ():
            try:
                self._forks.ask(do="see", remote=self._remote)
                return
            except UserError as error:
                if not reason:
                    print(f"waiting for the remote {self._remote}: {error}", flush=True)
                reason = str(error)
            time.sleep(pause)
        if reason:
            raise UserError(
                f"the remote {self._remote} is out of reach ({reason}): the results are kept "
                "there; run the same command again when it answers"
            )

    def leave(self) -> None:
        """Free what the run holds of the cluster, while the head goes on."""
        self._leaving.start()

    def close(self) -> None:
        """End what runs here, and leave the cluster."""
        self._forks.close()
        if self._leaving.ident is None:
            self._leaving.start()
        self._leaving.join()

    def _leave(self) -> None:
        # Ray complains on the terminal about tasks that outlive who asked for them.
        self._ray.wait(self._warming, num_returns=len(self._warming), timeout=GRACE)
        self._ray.shutdown()

    def _hear(self, task: Any) -> Ended | None:
        """Take a task's report; its end, if it is the last."""
        stage = self._running[task]
        try:
            report = self._ray.get(next(task))
        except self._ray.exceptions.RayError as error:
            del self._running[task]
            reason = " ".join(str(error).split())[:300]
            _write_log(stage, "the cluster", f"error: the stage's worker was lost: {reason}\n")
            return Ended(stage, 1, lost=True)
        _write_log(stage, report.host, report.log)
        if report.code is None:
            return None
        del self._running[task]
        return Ended(stage, report.code)

    def _marked_cache(self) -> str:
        folder = Path(self._forks.ask(do="dvc", words=["cache", "dir"])).resolve()
        mark_cache(folder)
        return str(folder)

    def _fill(self, remote: str) -> None:
        """What is done already need not be done by a node."""
        try:
            self._forks.ask(do="mark", remote=remote)
            self._forks.ask(do="dvc", words=["push", "--run-cache", "--remote", remote])
        except UserError as error:
            self.close()
            raise UserError(f"--remote {remote}: {error}") from None


def _connect(address: str) -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError("--cluster needs Ray: pip install 'blemish[ray]'") from None
    try:
        if address != "auto":
            # Ray itself asks for minutes.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"no Ray cluster at {address}: {reason}") from None
    return ray


def _config(cache: str | None) -> bytes:
    """`.dvc/config.local` of the clones: this one, and the cache that all nodes see."""
    config = ConfigObj(str(CONFIG), encoding="utf-8", interpolation=False)
    if cache:
        config.setdefault("cache", {})["dir"] = cache
    stream = io.BytesIO()
    config.write(stream)
    return stream.getvalue()


def _write_log(stage: str, host: str, text: str) -> None:
    log = log_file(stage)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"{ON}{host}\n{text}", encoding="utf-8")
