"""Part b: a killed training goes on and ends with the same bytes; so does the same seed twice.

Where a GPU does not give the same bytes twice, PyTorch names the operations that have no fixed
order there, and the killed training must come as near to a whole one as two whole ones do.
"""

import hashlib
import multiprocessing
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from blemish.methods.checkpoint import Checkpoint, Moment
from blemish.methods.detector import AnyDetector
from gpu_proof.loops import Watched, fit
from gpu_proof.record import Figures, Item
from gpu_proof.settings import detector_for, small
from gpu_proof.unit import Unit

CASES = ("glass", "dsarad", "dmad", "esad", "dlas_lcd", "glass, pool", "dlas")
NEAR = 3.0  # times as far apart as two whole trainings are
Weights = dict[str, torch.Tensor]


class Deadly(Checkpoint):
    """Kills its process once it has saved."""

    def save(self, moment: Moment) -> None:
        super().save(moment)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Resume:
    """Part b on a unit."""

    unit: Unit
    device: str
    tiny: bool

    def items(self) -> Iterator[Item]:
        for case in CASES[:1] if self.tiny else CASES:
            yield Item(case, lambda _, case=case: self.case(case))

    def case(self, case: str) -> Figures:
        first, second = (self.train(case) for _ in range(2))
        same = digest(first) == digest(second)
        operations: set[str] = set()
        if not same:  # alone: what it watches for makes PyTorch choose other operations
            with unordered_operations() as operations:
                self.train(case)
        with tempfile.TemporaryDirectory() as name:
            kept = Path(name)
            status = self.killed(case, kept)
            resumed = self.train(case, Checkpoint(kept, "proof"))
        again = digest(first) == digest(resumed)
        usual, after = difference(first, second), difference(first, resumed)
        return {
            "killed_by": -status, "same_bytes_twice": same, "same_bytes_after_kill": again,
            "difference_twice": usual, "difference_after_kill": after,
            "operations": ", ".join(sorted(operations)) or "none",
            "within": status == -signal.SIGKILL and (again or after <= NEAR * usual),
        }  # fmt: skip

    def train(self, case: str, checkpoint: Checkpoint | None = None) -> Weights:
        method, params = small(case, self.tiny)
        data = self.unit.open()
        detector = detector_for(method, params, data)
        fit(detector, data, Watched(self.device, checkpoint=checkpoint))
        return weights_of(detector)

    def killed(self, case: str, kept: Path) -> int:
        """Train in a process that dies after its first checkpoint; its exit status."""
        spawn = multiprocessing.get_context("spawn")
        child = spawn.Process(target=self.train, args=(case, Deadly(kept, "proof")))
        child.start()
        child.join()
        return child.exitcode or 0


@contextmanager
def unordered_operations() -> Iterator[set[str]]:
    """Collect the operations of the block that PyTorch says have no fixed order on the device."""
    found: set[str] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield found
        finally:
            torch.use_deterministic_algorithms(False)
            found |= {name for each in caught if (name := operation_in(str(each.message)))}


def operation_in(message: str) -> str | None:
    """The operation that a warning of PyTorch is about; None where it is about something else."""
    if "eterministic" not in message:
        return None
    if "CuBLAS" in message:
        return "cuBLAS products"
    before, found, _ = message.partition(" does not have a deterministic implementation")
    return before.split(": ")[-1] if found else message.partition(".")[0][:80]


def weights_of(detector: AnyDetector) -> Weights:
    return {name: value.cpu() for name, value in detector.state_dict().items()}


def digest(weights: Weights) -> str:
    """Of names and bytes."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        total.update(name.encode())
        total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()


def difference(first: Weights, second: Weights) -> float:
    """The largest difference of any weight, as a share of its tensor's largest."""
    apart = [
        float((value.double() - second[name].double()).abs().max())
        / max(float(value.double().abs().max()), 1e-12)
        for name, value in first.items()
        if value.numel()
    ]
    return max(apart)
