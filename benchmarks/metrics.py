"""Pixel metrics of the same maps: ours, an exact sort, scikit-learn, adeval, torchmetrics.

    python benchmarks/metrics.py                     # 83 images at 512² and at 1024²
    python benchmarks/metrics.py --images 8 --sizes 256

Times are the best of several runs on maps that are in memory. Peak memory is what a process of its
own needs on top of its imports, the streaming ones (ours, adeval) reading one image at a time. The
errors are against the exact sort. `pip install .[bench]`, in an environment of its own, brings
the peers; one that is not installed is left out. The last line is one JSON object; a ratio is the
other's figure / ours.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from blemish.metrics.histograms import PixelHistogram
from blemish.metrics.table import measured

Pair = tuple[np.ndarray, np.ndarray]  # anomaly map (H, W) float32, mask (H, W) bool
Read = Callable[[], Iterator[Pair]]
MIB = 1 << 20


def make_maps(folder: Path, count: int, size: int, outlier: bool) -> None:
    """Smooth noise that rises over 1 to 4 rectangular defects in three of four images.

    One outlier pixel, where asked for, is 100 times as high as all others.
    """
    rng = np.random.default_rng(0)
    with (folder / "maps").open("wb") as maps, (folder / "masks").open("wb") as masks:
        for number in range(count):
            mask = np.zeros((size, size), bool)
            for _ in range(rng.integers(1, 5) if number % 4 else 0):
                height, width = rng.integers(2, size // 5, 2)
                top, left = rng.integers(0, size - height), rng.integers(0, size - width)
                mask[top : top + height, left : left + width] = True
            noise = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), 2) * 4
            anomaly_map = noise + 1.5 * cv2.GaussianBlur(mask.astype(float), (0, 0), 2)
            if outlier and number == 0:
                anomaly_map[5, 5] = 400
            maps.write(anomaly_map.astype(np.float32).tobytes())
            masks.write(mask.tobytes())


def stream(folder: Path, count: int, size: int) -> Iterator[Pair]:
    """One image at a time from disk, from the first again after the last there is."""
    there = (folder / "masks").stat().st_size // size**2
    with (folder / "maps").open("rb") as maps, (folder / "masks").open("rb") as masks:
        for number in range(count):
            if number % there == 0:
                maps.seek(0), masks.seek(0)
            anomaly_map = np.frombuffer(maps.read(4 * size**2), np.float32).reshape(size, size)
            yield anomaly_map, np.frombuffer(masks.read(size**2), bool).reshape(size, size)


def ours(read: Read) -> dict[str, Any]:
    coarse = PixelHistogram()
    for pair in read():
        coarse.count(*pair)
    fine = PixelHistogram(coarse.finer_binning())
    for pair in read():
        fine.update(*pair)
    numbers = measured("pixel", fine.ranking())
    return {name.removeprefix("pixel_"): value for name, value in numbers.items()}


def exact(read: Read) -> dict[str, Any]:
    """One sort of all pixels, sums in float64, equal scores one threshold (as MVTec's code)."""
    scores, weights = [], []
    for anomaly_map, mask in read():
        _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        scores.append(anomaly_map.ravel())
        weights.append(np.where(mask, 1 / np.bincount(labels.ravel())[labels], 0).ravel())
    score, weight = np.concatenate(scores), np.concatenate(weights)
    del scores, weights
    order = np.argsort(score)[::-1]
    score, weight = score[order], weight[order]
    last = np.append(score[1:] != score[:-1], True)
    tp, fp = np.cumsum(weight > 0)[last], np.cumsum(weight == 0)[last]
    tpr, fpr, pro = tp / tp[-1], fp / fp[-1], np.cumsum(weight)[last] / weight.sum()
    x, y = np.append(0, fpr), np.append(0, pro)
    end, inside = np.interp(0.3, x, y), x <= 0.3
    return {
        "auroc": np.trapezoid(np.append(0, tpr), x),
        "ap": np.sum(np.diff(tpr, prepend=0) * tp / (tp + fp)),
        "f1max": np.max(2 * tp / (tp[-1] + tp + fp)),
        "fpr95": fpr[np.argmax(tpr >= 0.95)],
        "aupro": np.trapezoid(np.append(y[inside], end), np.append(x[inside], 0.3)) / 0.3,
    }


def scikit_learn(read: Read) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    maps, masks = zip(*read(), strict=True)
    score, label = np.concatenate(maps, axis=None), np.concatenate(masks, axis=None)
    return {"auroc": roc_auc_score(label, score), "ap": average_precision_score(label, score)}


def adeval(read: Read) -> dict[str, Any]:
    """With its 1,000 strips and the exact bounds, whose search is not counted as its time."""
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid  # it was written for NumPy 1
    from adeval import EvalAccumulator

    low, high = BOUNDS["low"], BOUNDS["high"]
    counts = EvalAccumulator(low, high, low, high)
    for anomaly_map, mask in read():
        counts.add_anomap(anomaly_map, mask.astype(np.uint8))
        score, label = anomaly_map.max(), mask.any()
        counts.add_image(score, label)
        counts.add_sample(score, label)
    summary = counts.summary()
    return {"auroc": summary["p_auroc"], "ap": summary["p_aupr"], "aupro": summary["p_aupro"]}


def torchmetrics(read: Read) -> dict[str, Any]:
    import torch
    from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

    torch.set_num_threads(1)
    metrics = {"auroc": BinaryAUROC(), "ap": BinaryAveragePrecision()}
    for anomaly_map, mask in read():
        # It wants 0 to 1.
        score = torch.from_numpy(1 / (1 + np.exp(-anomaly_map.astype(np.float64))))
        for metric in metrics.values():
            metric.update(score, torch.from_numpy(mask.astype(np.int64)))
    return {name: float(metric.compute()) for name, metric in metrics.items()}


TOOLS = {
    "ours": ours, "exact": exact, "scikit-learn": scikit_learn, "adeval": adeval,
    "torchmetrics": torchmetrics,
}  # fmt: skip
STREAMING = ("ours", "adeval")
COSTS = {"seconds", "peak"}  # beside the metrics in what a tool returns
BOUNDS = {"low": 0.0, "high": 1.0}  # of all scores; adeval must be told


def memory(field: str) -> int:
    """This process's VmRSS (now) or VmHWM (its peak) in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def child(tool: str, folder: Path, count: int, size: int, timed: bool) -> None:
    """Run one tool and print its numbers, seconds and bytes as JSON."""
    cv2.setNumThreads(1)
    try:
        TOOLS[tool](lambda: iter([tiny(0), tiny(1)]))  # imports
    except ImportError:
        print("null")
        return
    for anomaly_map, _ in stream(folder, count, size) if tool == "adeval" else ():
        BOUNDS["low"] = min(BOUNDS["low"], float(anomaly_map.min()))
        BOUNDS["high"] = max(BOUNDS["high"], float(anomaly_map.max()))
    before, seconds = memory("VmRSS"), float("inf")
    pairs = list(stream(folder, count, size)) if timed and tool in STREAMING else None
    for _ in range(5 if pairs else 1):
        start = time.perf_counter()
        numbers = TOOLS[tool](lambda: iter(pairs) if pairs else stream(folder, count, size))
        seconds = min(seconds, time.perf_counter() - start)
    numbers = {name: float(value) for name, value in numbers.items()}
    print(json.dumps(numbers | {"seconds": seconds, "peak": memory("VmHWM") - before}))


def tiny(number: int) -> Pair:
    anomaly_map = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    return anomaly_map, anomaly_map > (0.5 if number else 2)


def measure(tool: str, folder: Path, count: int, size: int, timed: bool) -> dict[str, Any] | None:
    """One tool in a process of its own; None where it is not installed."""
    words = ["--child", tool, str(folder), str(count), str(size), str(int(timed))]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, *words], stdout=subprocess.PIPE, check=True
    )
    numbers: dict[str, Any] | None = json.loads(done.stdout)
    return numbers


def compare(count: int, size: int, tools: list[str]) -> dict[str, float]:
    """Print one size's table; return its figures."""
    print(f"\n{count} images of {size}×{size}")
    print(f"{'':14}{'seconds':>9}{'peak MiB':>10}  error of AUROC        AP     AUPRO")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_maps(folder, count, size, outlier=False)
        truth, our_numbers = measure("exact", folder, count, size, True), {}
        for tool in tools:
            numbers = truth if tool == "exact" else measure(tool, folder, count, size, True)
            if numbers is None:
                print(f"{tool:14}  not installed")
                continue
            if tool in STREAMING:
                numbers["peak"] = measure(tool, folder, count, size, False)["peak"]
            errors = {
                metric: abs(numbers[metric] - truth[metric])
                for metric in truth
                if metric in numbers
            }
            shown = "".join(f"{errors[metric]:10.1e}" if metric in errors else f"{'–':>10}"
                            for metric in ("auroc", "ap", "aupro"))  # fmt: skip
            print(f"{tool:14}{numbers['seconds']:9.3f}{numbers['peak'] / MIB:10.0f}     {shown}")
            key = f"{tool.replace('-', '_')}_{size}"
            our_numbers = our_numbers or numbers
            if tool == "ours":
                figures[f"largest_error_{size}"] = max(
                    errors[metric] for metric in errors.keys() - COSTS
                )
            else:
                figures[f"{key}_time_ratio"] = numbers["seconds"] / our_numbers["seconds"]
                figures[f"{key}_memory_ratio"] = numbers["peak"] / our_numbers["peak"]
        more = measure("ours", folder, 4 * count, size, False)["peak"]
        figures[f"peak_mib_{size}"] = our_numbers["peak"] / MIB
        figures[f"peak_mib_of_4_times_the_images_{size}"] = more / MIB
        print(f"ours, {4 * count} images{'':>8}{more / MIB:10.0f}")
    return figures


def with_outlier(count: int, size: int, tools: list[str]) -> dict[str, float]:
    """The errors of AUPRO when one pixel of all is 100 times as high as the others."""
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        make_maps(Path(name), count, size, outlier=True)
        truth = measure("exact", Path(name), count, size, False)
        for tool in tools:
            numbers = measure(tool, Path(name), count, size, False) if tool in STREAMING else None
            if numbers:
                figures[f"{tool}_aupro_error_with_outlier"] = abs(numbers["aupro"] - truth["aupro"])
    print(f"\nOne outlier pixel at {size}×{size}, error of AUPRO: ", figures)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=83)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    given = parser.parse_args()
    figures = {}
    for size in given.sizes:
        figures |= compare(given.images, size, given.tools)
    figures |= with_outlier(given.images, given.sizes[0], given.tools)
    print(json.dumps({name: float(f"{value:.4g}") for name, value in figures.items()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        tool, folder, *numbers = sys.argv[2:]
        child(tool, Path(folder), *map(int, numbers))
    else:
        main()
