"""Places where a stage can run: shares of the cores, or of the GPUs."""

import os
from dataclasses import dataclass, field

from blemish.core.errors import UserError

GIB_EACH = 3.0  # memory that a training of the shipped settings may need


@dataclass(frozen=True)
class Slot:
    """A place for one stage at a time; `environment` is what its processes get besides."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)


def local_slots(jobs: int | None, gpus: str | None, per_gpu: int) -> list[Slot]:
    """The slots of this machine.

    jobs: how many stages at once; None for one a core, fewer where memory is short. gpus: numbers
    such as "0,1", each of which takes `per_gpu` stages; None leaves CUDA as it is.
    Raises UserError for numbers that make no sense.
    """
    if gpus is None:
        count = _at_least_one(jobs, "--jobs") if jobs is not None else default_jobs()
        return [Slot(f"cpu {n}", _threads(count)) for n in range(count)]
    if jobs is not None:
        raise UserError("--jobs and --gpus exclude each other: --per-gpu says how many a GPU takes")
    numbers = gpus.split(",")
    if not all(number.isdigit() for number in numbers) or len(set(numbers)) < len(numbers):
        raise UserError(f"--gpus is {gpus!r}: give the GPUs' numbers, such as 0,1")
    each = _at_least_one(per_gpu, "--per-gpu")
    threads = _threads(len(numbers) * each)
    return [
        Slot(f"gpu {number}", {"CUDA_VISIBLE_DEVICES": number, **threads})
        for _ in range(each)
        for number in numbers
    ]


def default_jobs() -> int:
    """One stage a core, as far as memory goes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(_cores(), int(memory / GIB_EACH)))


def _threads(slots: int) -> dict[str, str]:
    """Cores are shared out, so that N stages do not run N × cores threads.

    Results do not depend on it: `training.threads` says how many threads compute them.
    """
    share = str(max(1, _cores() // slots))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), share)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _at_least_one(number: int, option: str) -> int:
    if number < 1:
        raise UserError(f"{option} is {number}: give at least 1")
    return number
