"""Part c: how fast, in how much memory, at published sizes with random weights.

A step in plain form and in ours, in three precisions; whole epochs with the drawing of defects in
them; scoring; and two processes that share the device.
"""

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from blemish.methods.detector import AnyDetector
from gpu_proof.loops import ALL_THREADS, Watched, fit, peak_mib, reset_peak, synchronize
from gpu_proof.record import Figures, Item
from gpu_proof.settings import PUBLISHED, detector_for, products, published
from gpu_proof.steps import MAKERS, Form, forms
from gpu_proof.unit import Unit

PRECISIONS = ("float32", "tf32", "bfloat16")
AGREE = 1e-3  # relative difference of the two forms' first losses, in float32
LEAST, MOST = 3, 50  # steps that are timed
TOGETHER = ("glass", "dsarad")  # a method of many small operations, and one of few large ones


@dataclass(frozen=True)
class Speed:
    """Part c on a unit."""

    unit: Unit
    device: str
    tiny: bool

    @property
    def each(self) -> float:
        """Seconds that a measurement takes, about."""
        return 0.0 if self.tiny else 2.0

    def items(self) -> Iterator[Item]:
        for method in PUBLISHED:
            yield Item(f"epochs/{method}", lambda _, method=method: self.epochs(method))
        for method in MAKERS:
            yield Item(f"step/{method}", lambda _, method=method: self.steps(method))
        for method in TOGETHER[:1] if self.tiny else TOGETHER:
            yield Item(f"two at once/{method}", lambda _, method=method: self.together(method))

    def epochs(self, method: str) -> Figures:
        """Seconds a step in the program's own loop, as shipped, and with all threads drawing."""
        figures: Figures = {}
        for threads in (1,) if self.tiny else (1, ALL_THREADS):
            suffix = "" if threads == 1 else "_all_threads"
            figures |= {
                f"{name}{suffix}": value for name, value in self.loop(method, threads).items()
            }
        return figures

    def loop(self, method: str, threads: int) -> Figures:
        data, device = self.unit.open(), torch.device(self.device)
        few: dict[str, Any] = {} if method == "patchcore" else {"epochs": 4}
        if method == "dsarad":
            few |= {"teacher_epochs": 2, "teacher_passes": 1, "images_per_epoch": 40}
        detector = detector_for(method, published(method, self.tiny, **few), data)
        reset_peak(device)
        loop, begin = Watched(self.device, threads=threads), time.monotonic()
        fit(detector, data, loop)
        synchronize(device)
        whole = time.monotonic() - begin
        seconds = {}
        for phase in dict.fromkeys(epoch.phase for epoch in loop.timed):
            last = [epoch for epoch in loop.timed if epoch.phase == phase][1:]
            steps = max(1, sum(epoch.steps for epoch in last))
            seconds[phase] = sum(epoch.seconds for epoch in last) / steps
        return {
            "seconds_a_step": seconds, "fit_seconds": whole, "peak_mib": peak_mib(device),
            "images": len(data.manifest.of("train", 0)),
            "score_seconds_an_image": self.score_seconds(detector),
        }  # fmt: skip

    def score_seconds(self, detector: AnyDetector) -> float:
        """One image after the other, as the program scores them; reading is not in it."""
        size = detector.framing.window
        image = torch.zeros((1, 3, *size), dtype=torch.uint8)

        def score() -> None:
            maps, scores = detector.score(image.to(self.device))
            maps.cpu(), scores.cpu()

        detector.eval()
        with torch.inference_mode():
            return timed(score, torch.device(self.device), self.each)

    def steps(self, method: str) -> Figures:
        """Of both forms: milliseconds, memory, share of the device's own matrix peak.

        The plain form has no bfloat16: its losses take probabilities, which autocast refuses.
        """
        device, params = torch.device(self.device), published(method, self.tiny)
        figures: Figures = {"batch": params.batch_size}
        for precision in PRECISIONS:
            with products(tf32=precision != "float32"):
                most = peak(device, precision, 512 if self.tiny else 8192, self.each)
                ours, plain = forms(method, params, device)
                given = {"ours": cast(ours, device, precision)}
                given |= {"plain": plain} if precision != "bfloat16" else {}
                found = {n: measure(form, device, most, self.each) for n, form in given.items()}
            figures[precision] = {"peak_tflops": most / 1e12}
            for name, each in found.items():
                figures[precision] |= {f"{name}_{key}": value for key, value in each.items()}
            reference = figures[precision if "plain" in given else "tf32"]["plain_ms"]
            figures[precision]["ratio"] = reference / figures[precision]["ours_ms"]
        losses = (figures["float32"][f"{name}_loss"] for name in ("ours", "plain"))
        apart = abs(next(losses) / next(losses) - 1)
        seconds = figures["tf32"]["ours_ms"] / 1e3
        return figures | {
            "images_a_second": params.batch_size / seconds, "loss_difference": apart,
            "within": apart <= AGREE,
        }  # fmt: skip

    def together(self, method: str) -> Figures:
        """Steps a second of one process alone, and of two that share the device."""
        alone = self.in_processes(method, 1)
        both = self.in_processes(method, 2)
        return {"steps_a_second_alone": alone, "steps_a_second_of_two": both, "gain": both / alone}

    def in_processes(self, method: str, count: int) -> float:
        spawn = multiprocessing.get_context("spawn")
        barrier, results = spawn.Barrier(count, timeout=120), spawn.Queue()
        given = (method, self.device, self.tiny, barrier, results)
        children = [spawn.Process(target=step_for_a_while, args=given) for _ in range(count)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        if any(child.exitcode for child in children):
            raise RuntimeError(f"a process that made steps of {method} failed, see above")
        return sum(results.get() for _ in children)


def step_for_a_while(method: str, device: str, tiny: bool, barrier: Any, results: Any) -> None:
    """What each process of `Speed.together` does; begins when all are ready."""
    on = torch.device(device)
    form, _ = forms(method, published(method, tiny), on)
    for _ in range(LEAST):
        form.step()
    synchronize(on)
    barrier.wait()
    begin, count = time.monotonic(), 0
    while time.monotonic() - begin < (0.5 if tiny else 5.0):
        form.step()
        synchronize(on)
        count += 1
    results.put(count / (time.monotonic() - begin))


def measure(form: Form, device: torch.device, most: float, each: float) -> Figures:
    """A form's figures, with the loss of its first step; most: FLOP/s; each: as of `timed`."""
    reset_peak(device)
    with FlopCounterMode(display=False) as counter:
        loss = float(form.step())
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss of the first step is {loss}")
    seconds = timed(form.step, device, each)
    share = counter.get_total_flops() / seconds / most
    return {"ms": 1e3 * seconds, "share_of_peak": share, "mib": peak_mib(device), "loss": loss}


def timed(work: Callable[[], Any], device: torch.device, each: float) -> float:
    """Seconds of a call: the mean of those of about `each` seconds, after two that warm up; of the
    second one where `each` is 0."""
    work()
    synchronize(device)
    begin = time.monotonic()
    work()
    synchronize(device)
    once = max(1e-6, time.monotonic() - begin)
    if not each:
        return once
    count = min(MOST, max(LEAST, round(each / once)))
    begin = time.monotonic()
    for _ in range(count):
        work()
    synchronize(device)
    return (time.monotonic() - begin) / count


def peak(device: torch.device, precision: str, side: int, each: float) -> float:
    """FLOP/s of the device's matrix product; TF32 is as the caller has set it."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / timed(lambda: a @ b, device, each)


def cast(form: Form, device: torch.device, precision: str) -> Form:
    """A form whose forward pass and losses compute as `training.precision` says."""

    def loss() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            return form.loss()

    return Form(loss, form.optimizers)
