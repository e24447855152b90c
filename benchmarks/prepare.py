"""How `prepare` and the image store grow with the number of images.

    python benchmarks/prepare.py [--counts 1000 5000 20000] [--size 256]

Each count runs in a process of its own, whose peak memory is read. `linear` is the time an image
takes at the largest count over that at the smallest: 1 is exactly linear. `store_ratio` is the
time to decode and resize the training images over the time to map them from the store.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.framing import Framing
from blemish.images.manifest import read_manifest
from blemish.images.store import ImageStore
from blemish.prepare.unit import prepare


def generate(raw: Path, count: int, size: int) -> None:
    """Pictures of a part, each with its own grain; compressed as a camera's PNG is."""
    random = np.random.default_rng(0)
    grain = random.integers(0, 60, (size * 2, size * 2, 3), dtype=np.uint8)
    for number in range(count):
        top, left = random.integers(0, size, 2)
        pixels = grain[top : top + size, left : left + size] + np.uint8(number % 90)
        Image.fromarray(pixels).save(raw / f"{number:06d}.png", compress_level=1)


def measure(raw: Path, count: int) -> dict[str, float]:
    """Prepare the first `count` pictures; then read them twice through the store."""
    items = [Item(path, "good", None) for path in sorted(raw.glob("*.png"))[:count]]
    data_set = DataSet(
        name="parts", title="", categories=("all",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=raw.parent) as place:
        target, folder = Path(place) / "prepared", Path(place) / "store"
        target.mkdir()
        start = time.perf_counter()
        prepare(data_set, "all", raw, DataParams(), target)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        manifest, store = read_manifest(target), ImageStore(folder, 1e12)
        times = []
        for _ in range(2):
            start = time.perf_counter()
            images = store.images(
                manifest.root, manifest.of("train"), Framing.square(256, "squash"), "store"
            )
            int(images[:: max(1, len(images) // 64)].sum())
            times.append(time.perf_counter() - start)
    return {"count": count, "seconds": seconds, "gib": peak, "read": times[0], "mapped": times[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), int(options.measure[1]))))
        return
    with tempfile.TemporaryDirectory() as place:
        raw = Path(place) / "raw"
        raw.mkdir()
        generate(raw, max(options.counts), options.size)
        results = []
        print(f"{'images':>8} {'prepare s':>10} {'images/s':>9} {'peak GiB':>9} "
              f"{'decode s':>9} {'map s':>7}")  # fmt: skip
        for count in sorted(options.counts):
            command = [sys.executable, __file__, "--measure", str(raw), str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            results.append(result)
            print(
                f"{count:8d} {result['seconds']:10.1f} {count / result['seconds']:9.0f} "
                f"{result['gib']:9.2f} {result['read']:9.2f} {result['mapped']:7.3f}"
            )
    first, last = results[0], results[-1]
    linear = (last["seconds"] / last["count"]) / (first["seconds"] / first["count"])
    print(json.dumps({
        "linear": round(linear, 3),
        "store_ratio": round(last["read"] / last["mapped"], 1),
        "peak_gib": round(last["gib"], 2),
        "images_per_s": round(last["count"] / last["seconds"]),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
