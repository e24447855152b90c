"""A Ray cluster as the place where the commands of stages run.

DVC runs on the head alone: it decides what is to run, restores what its cache has and commits what
comes back. Only a stage's command travels, as a Ray task in the project's code, with the inputs
that DVC made; `node` is the other side.
"""

import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import blemish
from blemish.core.errors import UserError
from blemish.run import node
from blemish.run.children import Child, log_file
from blemish.run.local import Notes, Slot
from blemish.run.messages import Command

CONNECT = 10.0  # s
PATIENCE = 20.0  # s that workers get to be ended
PASSED_ON = ("BLEMISH_", "AWS_", "MLFLOW_", "CUBLAS_")  # variables that reach the stages
LOST = 137  # exit status of a command whose node or worker is gone, as of one that was killed
# The shell asks the child around it, which answers with an exit status, or `here`: run it yourself.
ELSEWHERE = """printf '%s' "$2" > "$BLEMISH_NOTES.ask"
read -r status < "$BLEMISH_NOTES.answer"
if [ "$status" = here ]; then /bin/sh "$@"; status=$?; fi"""


class Cluster:
    """Runs the commands of stages on the nodes of a Ray cluster.

    address: "auto" or host:port. per_gpu: stages on each GPU at once, where there are GPUs; on
    CPUs a stage takes one. cache: DVC's folder, from which nodes that see it take their inputs;
    None to send all inputs. Raises UserError where Ray or the cluster is missing.
    """

    def __init__(self, address: str, per_gpu: int = 1, cache: Path | None = None) -> None:
        self._ray = _connect(address)
        resources = self._ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        count = gpus * per_gpu or int(resources.get("CPU", 0))
        if not count:
            raise UserError(f"the Ray cluster at {address} offers neither CPUs nor GPUs")
        self.slots = [Slot(f"{'gpu' if gpus else 'cpu'} of the cluster")] * count
        share = {"num_cpus": 0, "num_gpus": 1 / per_gpu} if gpus else {"num_cpus": 1}
        # The schedule tries again what was lost: two that do would try too often.
        self._task = self._ray.remote(node.run_command).options(
            num_returns="streaming", max_retries=0, **share
        )
        self._notes = Notes(ELSEWHERE)
        self._given = {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON)}
        self._stored: dict[str, Any] = {}  # by DVC's hash: what is in the object store
        self._running: dict[Child, Any] = {}
        self._cache = "" if cache is None else str(cache.resolve())
        if cache is not None:
            node.mark(cache)

    def start(self, stage: str, slot: Slot) -> Child:
        """Begin to reproduce a stage here; the child will ask for its command to be run."""
        notes, given = self._notes.new()
        for name in ("ask", "answer"):
            os.mkfifo(f"{notes}.{name}")
        arguments = (stage, notes)
        return Child("reproduce_elsewhere", arguments, slot.environment | given, log_file(stage))

    def attend(self, child: Child, message: object) -> None:
        """Hand a child's command to Ray, and answer it when the outputs are here."""
        assert isinstance(message, Command)
        threading.Thread(target=self._serve, args=(child, message), daemon=True).start()

    def interrupt(self) -> None:
        """Kill the workers of all tasks, and with them their commands."""
        tasks = list(self._running.values())
        ends = [task.completed() for task in tasks]
        for task in tasks:
            self._ray.cancel(task, force=True)
        if ends:  # who leaves the cluster before a cancellation has arrived leaves the command, too
            self._ray.wait(ends, num_returns=len(ends), timeout=PATIENCE)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _serve(self, child: Child, command: Command) -> None:
        status = LOST
        try:
            report = self._run(child, command)
            if report.unseen:
                self._cache = ""
                report = self._run(child, command)
            node.unpack(report.outputs, Path()) if report.outputs else None
            status = LOST if report.status is None else report.status
        except (self._ray.exceptions.RayError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            _add_to_log(command.stage, f"error: the stage's worker was lost: {reason}\n")
        finally:
            self._running.pop(child, None)
            child.answer(status)

    def _run(self, child: Child, command: Command) -> node.Report:
        """Run a command on some node, its log coming here; the last report."""
        inputs = [node.Input(path, key, self._sent(path, key)) for path, key in command.inputs]
        job = node.Job(command.text, inputs, command.outputs, self._given, self._cache)
        self._running[child] = task = self._task.remote(job)
        report = node.Report("", "")
        for number, reference in enumerate(task):
            report = self._ray.get(reference)
            _add_to_log(command.stage, "" if number else f"on node {report.host}\n", report.text)
        return report

    def _sent(self, path: str, key: str) -> Any:
        """An input in the object store, from which each node takes it once; None: in the cache."""
        if self._cache:
            return None
        if key not in self._stored:
            folder, name = Path(path).parent, Path(path).name
            self._stored[key] = self._ray.put(node.pack(folder, [name]))
        return self._stored[key]


def _add_to_log(stage: str, *texts: str) -> None:
    with log_file(stage).open("a", encoding="utf-8") as stream:
        stream.write("".join(texts))


def _connect(address: str) -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError("--cluster needs Ray: pip install 'blemish[ray]'") from None
    # The project as it lies here, without what git ignores; and Blemish itself.
    project = {"working_dir": str(Path.cwd()), "py_modules": [str(Path(blemish.__file__).parent)]}
    try:
        if address != "auto":
            # Ray itself asks for minutes.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT).close()
        ray.init(
            address=address, runtime_env=project, log_to_driver=False, logging_level=logging.ERROR
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"no Ray cluster at {address}: {reason}") from None
    return ray
