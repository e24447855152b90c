"""How long judging an image takes: `blemish speed`, and what benchmarks compare with."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.core.memory import peak_mib
from blemish.images.reading import read_image
from blemish.predict.trained import TrainedDetector, cores, open_detector

BATCH = 16
WARM = 2  # calls that are not timed

Pixels = NDArray[np.uint8]


def measure(
    model: Path, files: Sequence[Path], repeats: int, seconds: float = math.inf
) -> dict[str, Any]:
    """Times of `repeats` images, taken from the files in turn, on the CPU.

    seconds: about how long each of the times may take; then fewer images count, and where one takes
    so long that a batch would exceed it there is no time of batches. Memory is the peak of this
    process while one image at a time is judged on one core. Raises UserError as `open_detector` and
    `read_image`.
    """
    alone = open_detector(model, "cpu", threads=1)
    turn = list(islice(cycle(files), min(repeats, BATCH)))
    images = [read_image(file, alone.levels) for file in turn]
    reading = milliseconds(
        lambda file: read_image(file, alone.levels), turn, repeats, seconds=seconds
    )
    found = {"reading": reading} | _scoring(alone, "one core", images, repeats, seconds)
    peak = peak_mib()
    together = open_detector(model, "cpu", threads=0)
    return {
        "unit": alone.record.unit,
        "method": alone.record.method,
        "seed": alone.record.seed,
        "cores": cores(),
        "image": f"{images[0].shape[1]}×{images[0].shape[0]}",
        "milliseconds": found | _scoring(together, "all cores", images, repeats, seconds),
        "peak_mib": peak,
    }


def _scoring(
    detector: TrainedDetector, name: str, images: Sequence[Pixels], repeats: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Milliseconds an image, alone and when `BATCH` of them are given at once."""
    single = milliseconds(detector.score, images, repeats, seconds=seconds)
    found = {f"{name}, batch 1": single}
    if single["median"] * BATCH <= 1000 * seconds:
        some = list(islice(cycle(images), BATCH))
        calls = max(2, repeats // BATCH)
        together = milliseconds(
            lambda _: detector.score(some, batch=BATCH), [0], calls, BATCH, warm=0, seconds=seconds
        )
        found[f"{name}, batch {BATCH}"] = together
    return found


def milliseconds(
    work: Callable[[Any], object],
    items: Iterable[Any],
    calls: int,
    of_call: int = 1,
    warm: int = WARM,
    seconds: float = math.inf,
) -> dict[str, float]:
    """Median and 95th percentile an image, of calls that each take `of_call` images.

    warm: calls before them, to warm up. After `seconds` no further call is made.
    """
    times: list[float] = []
    for item in islice(cycle(items), warm + calls):
        if sum(times) > seconds:
            break
        start = time.perf_counter()
        work(item)
        times.append(time.perf_counter() - start)
    each = [1000 * taken / of_call for taken in times[warm:] or times[-1:]]
    return {
        "median": round(statistics.median(each), 2),
        "p95": round(float(np.percentile(each, 95)), 2),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """What `measure` found, for people."""
    head = (
        f"{found['method']} of {found['unit']}, images of {found['image']}, {found['cores']} cores"
    )
    rows = [
        f"{name:22} {each['median']:9.2f} {each['p95']:9.2f}"
        for name, each in found["milliseconds"].items()
    ]
    return [
        head,
        f"{'milliseconds an image':22} {'median':>9} {'p95':>9}",
        *rows,
        f"{'peak memory':22} {found['peak_mib']:9.1f} MiB",
    ]
