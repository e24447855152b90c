"""How long judging an image takes: `blemish speed`, and what benchmarks compare with."""

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


def measure(model: Path, files: Sequence[Path], repeats: int) -> dict[str, Any]:
    """Times of `repeats` images, taken from the files in turn, on the CPU.

    Memory is the peak of this process while one image at a time is judged on one core. Raises
    UserError as `open_detector` and `read_image`.
    """
    alone = open_detector(model, "cpu", threads=1)
    turn = list(islice(cycle(files), min(repeats, BATCH)))
    images = [read_image(file, alone.levels) for file in turn]
    one_core = milliseconds(alone.score, images, repeats)
    peak = peak_mib()
    together = open_detector(model, "cpu", threads=0)
    return {
        "unit": alone.record.unit,
        "method": alone.record.method,
        "seed": alone.record.seed,
        "cores": cores(),
        "image": f"{images[0].shape[1]}×{images[0].shape[0]}",
        "milliseconds": {
            "reading": milliseconds(lambda file: read_image(file, alone.levels), turn, repeats),
            "one core, batch 1": one_core,
            f"one core, batch {BATCH}": batched(alone, images, repeats),
            "all cores, batch 1": milliseconds(together.score, images, repeats),
            f"all cores, batch {BATCH}": batched(together, images, repeats),
        },
        "peak_mib": peak,
    }


def batched(detector: TrainedDetector, images: Sequence[Pixels], repeats: int) -> dict[str, float]:
    """Milliseconds an image when `BATCH` of them are given at once."""
    some = list(islice(cycle(images), BATCH))
    calls = max(3, repeats // BATCH)
    return milliseconds(lambda _: detector.score(some, batch=BATCH), [0], calls, BATCH)


def milliseconds(
    work: Callable[[Any], object], items: Iterable[Any], calls: int, of_call: int = 1
) -> dict[str, float]:
    """Median and 95th percentile an image, of calls that each take `of_call` images."""
    times = []
    for item in islice(cycle(items), WARM + calls):
        start = time.perf_counter()
        work(item)
        times.append(1000 * (time.perf_counter() - start) / of_call)
    timed = times[WARM:]
    return {
        "median": round(statistics.median(timed), 2),
        "p95": round(float(np.percentile(timed, 95)), 2),
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
