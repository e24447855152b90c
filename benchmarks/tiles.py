"""What scoring through windows costs: seconds and memory at 1, 4, 16 and 64 megapixels.

    python benchmarks/tiles.py                      # glass, dmad and patchcore
    python benchmarks/tiles.py --methods glass --sides 1024 2048

Each image is scored as by `blemish predict` in a process of its own, on one thread, with
the shipped settings at the image's own scale and weights that nothing was learnt with: that
changes no operation (patchcore has a bank of 4,096 random patches). Reference is the same at 1
megapixel, in the same run: `linear_…` is its seconds a megapixel / those at the largest image, so
1 is linear and less is slower than that. The last line is one JSON object; `memory_…` is the limit
of 2 GiB / the peak at the largest image.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from blemish.core.params import load_params
from blemish.images.framing import Framing
from blemish.images.reading import read_image
from blemish.methods.detector import AnyDetector, create
from blemish.methods.scoring import score_picture
from blemish.predict.verdict import Rules, verdict

LIMIT = 2 * 2**30
SIDES = [1024, 2048, 4096, 8192]
BANK = 4096


def detector_of(name: str) -> AnyDetector:
    params = load_params().method(name)
    size = params.image_size
    overlap = round(params.overlap * size)
    framing = Framing(size, size, "tiles", overlap=overlap, step=params.step)
    detector = create(name, params, 0, framing).eval()
    if name == "patchcore":
        detector.resize_bank(BANK)
        detector.bank.normal_(generator=torch.Generator().manual_seed(0))
    return detector


def score(name: str, image: Path) -> dict[str, float]:
    """Seconds and peak memory in bytes of one image, the model's own set-up apart."""
    torch.set_num_threads(1)
    detector = detector_of(name)
    warm = torch.zeros(1, 3, *detector.framing.window, dtype=torch.uint8)
    with torch.inference_mode():
        detector.score(warm)
    start = time.perf_counter()
    rules = Rules(np.inf, np.inf, 1, 1.0, 0.0)
    pixels = read_image(image)
    size = (pixels.shape[0], pixels.shape[1])
    picture = torch.from_numpy(detector.framing.to_model(pixels))
    small, scores = score_picture(detector, picture, size)
    verdict(scores, detector.framing.to_original(small, size), None, 1.0, rules)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": time.perf_counter() - start, "peak": peak}


def measure(name: str, image: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name, str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", default=["glass", "dmad", "patchcore"])
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(score(given.one[0], Path(given.one[1]))))
        return
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = {side: Path(folder) / f"{side}.png" for side in given.sides}
        for side, path in images.items():
            noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
            cv2.imwrite(str(path), cv2.blur(noise, (9, 9)))
        for name in given.methods:
            for side, path in images.items():
                found = measure(name, path)
                pixels = side * side / 2**20
                each = found["seconds"] / pixels
                print(f"{name:10} {side:5}²  {found['seconds']:7.1f} s  {each:6.2f} s/Mpx  "
                      f"peak {found['peak'] / 2**30:.2f} GiB", flush=True)  # fmt: skip
                figures.setdefault(f"linear_{name}", each)
            figures[f"linear_{name}"] = round(figures[f"linear_{name}"] / each, 2)
            figures[f"memory_{name}"] = round(LIMIT / found["peak"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
