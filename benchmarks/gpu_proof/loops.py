"""Trainings that are watched: the losses of each step, the time of each epoch, and an end."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from blemish.core.params import TrainingParams
from blemish.methods.checkpoint import Checkpoint, State
from blemish.methods.detector import AnyDetector
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from blemish.methods.training_data import TrainingUnit

AfterEpoch = Callable[[AnyDetector, int], None]  # the detector, and the epoch from 0
ALL_THREADS = len(os.sched_getaffinity(0))
DRAWN = (torch.rand, torch.randn, torch.randint)


class OutOfTime(Exception):
    """Ends a training after an epoch."""


class Epoch(NamedTuple):
    """How long an epoch of a phase took, and in how many steps."""

    phase: str
    seconds: float
    steps: int


class Watched(Loop):
    """Keeps what `log` was given at each step, and times epochs with the device's work in them.

    after_epoch: called where the methods keep an epoch's weights; it may raise OutOfTime.
    """

    def __init__(
        self,
        device: str,
        seed: int = 0,
        after_epoch: AfterEpoch | None = None,
        checkpoint: Checkpoint | None = None,
        **training: Any,
    ) -> None:
        params = TrainingParams(device=device, **({"checkpoint_seconds": 0} | training))
        super().__init__(params, seed, "proof", checkpoint=checkpoint)
        self.losses: list[dict[str, Tensor]] = []
        self.timed: list[Epoch] = []
        self._after_epoch = after_epoch

    def log(self, **values: Tensor) -> None:
        super().log(**values)
        self.losses.append({name: value.detach() for name, value in values.items()})

    def epochs(self, count: int, *state: State, phase: str = "train") -> Iterator[int]:
        for epoch in super().epochs(count, *state, phase=phase):
            begin, steps = time.monotonic(), len(self.losses)
            yield epoch
            synchronize(self.device)
            seconds = time.monotonic() - begin
            self.timed.append(Epoch(phase, seconds, len(self.losses) - steps))

    def save_epoch(self, model: nn.Module, epoch: int) -> None:
        if self._after_epoch is not None:
            self._after_epoch(model, epoch)


class SameDraws(TorchFunctionMode):
    """Random numbers of a GPU's generator come from one of the CPU with the same seed.

    The two have other streams, so that two trainings could not be compared step by step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._twins: dict[int, torch.Generator] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if func not in DRAWN or generator is None or generator.device.type == "cpu":
            return func(*args, **kwargs)
        seed = generator.initial_seed()
        twin = self._twins.setdefault(id(generator), torch.Generator().manual_seed(seed))
        drawn = func(*args, **kwargs | {"generator": twin, "device": "cpu"})
        return drawn.to(kwargs.get("device") or generator.device)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fit(detector: AnyDetector, unit: TrainingUnit, loop: Watched) -> bool:
    """Train; whether it came to its end."""
    try:
        trainer_of(detector).fit(unit, loop)
    except OutOfTime:
        return False
    return True


def reset_peak(device: torch.device) -> None:
    """Forget how much memory was in use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: torch.device) -> float | None:
    """MiB that tensors took at most since `reset_peak`; None on a CPU, where nobody counts."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / 2**20
