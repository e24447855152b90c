"""What every method's training shares: device, seeds, epochs with progress, and curves."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from blemish.errors import UserError
from blemish.params import TrainingParams
from blemish.progress import progress

Result = TypeVar("Result")
EPOCHS = "epochs"  # folder in a model's of the weights kept for protocol `paper`


def choose_device(name: str, threads: int = 0) -> torch.device:
    """ "auto" takes CUDA where there is one. Sets the CPU threads (0 leaves PyTorch's choice)."""
    if threads:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device, found = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        raise UserError(
            f"params.yaml: `training.device` is {name!r}, but PyTorch sees {found or 'no'} GPU: "
            "set it to auto or cpu"
        )
    return device


class Loop:
    """The frame of a training run: where it computes, what it draws, what it remembers.

    title: shown with the progress. folder: the model's, for what is kept while it trains.
    Curves are means over an epoch of what `log` was given.
    """

    def __init__(
        self, params: TrainingParams, seed: int, title: str, folder: Path | None = None
    ) -> None:
        self.device = choose_device(params.device, params.threads)
        self.seed = seed
        self.title = title
        self.folder = folder
        self.keep_every = params.keep_every
        self.curves: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def generator(self, purpose: int, device: torch.device | None = None) -> torch.Generator:
        """A random stream of its own for each purpose."""
        return torch.Generator(device or "cpu").manual_seed(self.seed * 1000 + purpose)

    def epochs(self, count: int) -> Iterator[int]:
        """0 … count − 1; after each, the means of what was logged become a row of the curves."""
        for epoch in progress(range(count), self.title, count, "epoch"):
            yield epoch
            means = {name: float(total) / self._steps for name, total in self._sums.items()}
            if not all(map(_is_finite, means.values())):
                raise UserError(
                    f"{self.title}: the loss is not a number in epoch {epoch + 1}: "
                    "lower the learning rate"
                )
            self.curves.append({"epoch": epoch + 1, **means})
            self._sums, self._steps = {}, 0

    def batches(self, images: int, batch: int, most: int, epoch: int) -> Iterator[Tensor]:
        """Shuffled rows in batches, the last one partial; stops once more than `most` were seen."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) * 1000 + 1)
        order = torch.randperm(images, generator=generator)
        for start in range(0, images, batch):
            yield order[start : start + batch]
            if start + batch > most:
                return

    def ahead(self, jobs: Iterable[Callable[[], Result]]) -> Iterator[Result]:
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

    def keep(self, model: nn.Module, epoch: int) -> None:
        """Write the weights after an epoch (from 0) where `training.keep_every` asks for them."""
        if self.folder is None or not self.keep_every or (epoch + 1) % self.keep_every:
            return
        file = self.folder / EPOCHS / f"{epoch + 1:05d}.safetensors"
        file.parent.mkdir(exist_ok=True)
        save_file(
            {key: value.contiguous().cpu() for key, value in model.state_dict().items()}, file
        )

    def log(self, **values: Tensor) -> None:
        """Add one step's values; kept on the device, so that no step waits for the host."""
        for name, value in values.items():
            total = self._sums.get(name)
            detached = value.detach().double()
            self._sums[name] = detached if total is None else total + detached
        self._steps += 1

    def write_curves(self, path: Path) -> None:
        """One row an epoch."""
        pd.DataFrame(self.curves).to_csv(path, index=False, float_format="%.8g")


def _is_finite(value: float) -> bool:
    return value - value == 0
