"""What every method's training shares: device, seeds, epochs with progress, and curves."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from blemish.core.device import choose_device
from blemish.core.errors import UserError
from blemish.core.params import TrainingParams
from blemish.core.progress import progress
from blemish.methods.checkpoint import Checkpoint, Moment, NotANumber, State, restore, state_of
from blemish.methods.saved import EPOCHS

Result = TypeVar("Result")
CHECKPOINT_SHARE = 0.02  # of the time of a training, at most, goes into its checkpoints


def _check_bfloat16() -> None:
    if not torch.cuda.is_bf16_supported():
        raise UserError(
            "params.yaml: `training.precision` is 'bfloat16', which this GPU lacks: set it to "
            "float32"
        )


class Loop:
    """The frame of a training run: where it computes, what it draws, what it remembers.

    title: shown with the progress. folder: the model's, for what is kept while it trains.
    checkpoint: where a killed training goes on from; None starts afresh and leaves no trace.
    Curves are means over an epoch of what `log` was given, and what `log_epoch` was.
    """

    def __init__(
        self,
        params: TrainingParams,
        seed: int,
        title: str,
        folder: Path | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.device = choose_device(params.device, params.threads)
        self.low_precision = params.precision == "bfloat16"
        if self.low_precision and self.device.type == "cuda":
            _check_bfloat16()
        self.seed = seed
        self.title = title
        self.folder = folder
        self.keep_every = params.keep_every
        self.curves: list[dict[str, float]] = []
        self._checkpoint = checkpoint
        self._every = params.checkpoint_seconds
        self._saved = time.monotonic()
        self._cost = 0.0  # s that the last checkpoint took
        self._resumed = (checkpoint.load() if checkpoint else None) or Moment()
        self._finished: list[str] = []
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._whole: dict[str, float] = {}

    def generator(self, purpose: int, device: torch.device | None = None) -> torch.Generator:
        """A random stream of its own for each purpose."""
        return torch.Generator(device or "cpu").manual_seed(self.seed * 1000 + purpose)

    def autocast(self) -> AbstractContextManager[None]:
        """Around a step's forward pass and losses: bfloat16 where `training.precision` says so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision)

    def epochs(self, count: int, *state: State, phase: str = "train") -> Iterator[int]:
        """0 … count − 1; after each, the means of what was logged become a row of the curves.

        state: all that training changes, generators included. A training that was killed goes on
        after the last epoch that left a checkpoint: finished epochs are not yielded again, and
        `state` is put back. Of several phases, a finished one yields nothing; so the state of a
        later phase must hold all that was learnt before it.
        """
        first = min(self._resume(phase, state), count)
        for epoch in progress(range(first, count), self.title, count - first, "epoch"):
            yield epoch
            means = {name: float(total) / self._steps for name, total in self._sums.items()}
            means |= self._whole
            if not all(map(_is_finite, means.values())):
                raise UserError(
                    f"{self.title}: the loss is not a number in epoch {epoch + 1}: "
                    "lower the learning rate"
                )
            self.curves.append({"epoch": len(self.curves) + 1, **means})
            self._sums, self._steps, self._whole = {}, 0, {}
            self._save(phase, epoch + 1, state)
        self._finished.append(phase)

    def _resume(self, phase: str, state: tuple[State, ...]) -> int:
        """The first epoch to run; puts `state` back where an earlier run left it."""
        resumed = self._resumed
        if phase in resumed.finished:
            return sys.maxsize
        if phase != resumed.phase:
            return 0
        for thing, kept in zip(state, resumed.states, strict=True):
            restore(thing, kept)
        self.curves = list(resumed.curves)
        print(f"{self.title}: going on after epoch {resumed.epoch} of an earlier run")
        return resumed.epoch

    def _save(self, phase: str, epoch: int, state: tuple[State, ...]) -> None:
        began = time.monotonic()
        pause = max(self._every, self._cost / CHECKPOINT_SHARE) if self._every else 0.0
        if self._checkpoint is None or began - self._saved < pause:
            return
        states = [state_of(thing) for thing in state]
        moment = Moment(phase, epoch, tuple(self._finished), self.curves, states)
        try:
            self._checkpoint.save(moment)
        except NotANumber:
            raise self._not_a_number(epoch) from None
        except OSError as error:
            # Training is worth more than its checkpoint.
            print(f"{self.title}: no checkpoint after epoch {epoch}: {error}", file=sys.stderr)
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def batches(self, images: int, batch: int, most: int, epoch: int) -> Iterator[Tensor]:
        """Shuffled rows in batches, the last one partial; stops once more than `most` were seen."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) * 1000 + 1)
        order = torch.randperm(images, generator=generator)
        for start in range(0, images, batch):
            yield order[start : start + batch]
            if start + batch > most:
                return

    def prefetch(self, jobs: Iterable[Callable[[], Result]]) -> Iterator[Result]:
        """The results of jobs in order; a thread does the next one while training has the last.

        On a CPU the thread computes alone: more would take the cores that train. Jobs must give
        the same bytes on any number of threads.
        """
        alone = partial(torch.set_num_threads, 1) if self.device.type == "cpu" else None
        with ThreadPoolExecutor(1, initializer=alone) as pool:
            waiting: Future[Result] | None = None
            for job in jobs:
                coming = pool.submit(job)
                if waiting is not None:
                    yield waiting.result()
                waiting = coming
            if waiting is not None:
                yield waiting.result()

    def save_epoch(self, model: nn.Module, epoch: int) -> None:
        """Write the weights after an epoch (from 0) where `training.keep_every` asks for them."""
        folder = self._checkpoint.folder if self._checkpoint else self.folder
        if folder is None or not self.keep_every or (epoch + 1) % self.keep_every:
            return
        state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
        if any(tensor.isnan().any() for tensor in state.values()):
            raise self._not_a_number(epoch + 1)
        file = folder / EPOCHS / f"{epoch + 1:05d}.safetensors"
        file.parent.mkdir(exist_ok=True, parents=True)
        save_file(state, file)

    def _not_a_number(self, epoch: int) -> UserError:
        return UserError(
            f"{self.title}: a weight is not a number after epoch {epoch}: lower the learning rate"
        )

    def export_epochs(self) -> None:
        """Move what `save_epoch` wrote into the model's folder."""
        if self._checkpoint and self.folder and (self._checkpoint.folder / EPOCHS).is_dir():
            shutil.move(self._checkpoint.folder / EPOCHS, self.folder / EPOCHS)

    def log(self, **values: Tensor) -> None:
        """Add one step's values; kept on the device, so that no step waits for the host."""
        for name, value in values.items():
            total = self._sums.get(name)
            detached = value.detach().double()
            self._sums[name] = detached if total is None else total + detached
        self._steps += 1

    def log_epoch(self, **values: float) -> None:
        """Values of the present epoch as a whole."""
        self._whole |= values

    def write_curves(self, path: Path) -> None:
        """One row an epoch."""
        pd.DataFrame(self.curves).to_csv(path, index=False, float_format="%.8g")


def _is_finite(value: float) -> bool:
    return value - value == 0
