"""What one image costs in an exported graph: time, and memory in a process of its own.

Light, as all that the process loads is counted.
"""

import multiprocessing
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blemish.core.memory import peak_mib
from blemish.export.runtimes import Run, open_graph

WARM, TIMED = 2, 20  # runs


def milliseconds(run: Run, images: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
    """Median and 95th percentile of the time from pixels (H, W, 3) to the answer."""
    times = []
    for number in range(WARM + TIMED):
        image = images[number % len(images)][None]
        start = time.perf_counter()
        run(image)
        times.append(1000 * (time.perf_counter() - start))
    of_run = times[WARM:]
    return {
        "median": round(statistics.median(of_run), 2),
        "p95": round(float(np.percentile(of_run, 95)), 2),
    }


def peak_memory(name: str, folder: Path, image: NDArray[np.uint8]) -> float:
    """MiB that a program has at most in memory that does nothing but judge an image."""
    alone = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with alone as pool:
        return pool.submit(_judge_alone, name, folder, image).result()


def _judge_alone(name: str, folder: Path, image: NDArray[np.uint8]) -> float:
    open_graph(name, folder)(image[None])
    return peak_mib()
