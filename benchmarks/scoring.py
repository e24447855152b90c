"""Images a second, one after the other as before, side by side, and as exported graphs.

    python benchmarks/scoring.py                                 # every method, as shipped
    python benchmarks/scoring.py --methods glass dmad --images 16

The networks are those of params.yaml with weights that nothing was learnt with, which changes no
operation (patchcore has a bank of 4,096 random patches); images are noise of their windows' size,
so that nothing is resized but the map. Reference is the form that was the only one: one image at a
time, its arithmetic shared by all cores. All forms are run in turn, `ROUNDS` times, and the median
counts. That form's threads wait for each other at every layer: where other programs want the same
cores it takes many times as long, and ratios to it say little. So the same form on one core is
measured as well: n cores cannot make it more than n times as fast. The last line is one JSON
object: `side_by_side_…`, `onnx_…`, `openvino_…` are the reference's time / that of the form,
and with `_least` at the end what they would be if the reference had gained all that n cores could.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from blemish.core.device import keep_freed_memory
from blemish.core.params import load_params
from blemish.export.graph import onnx_model
from blemish.export.runtimes import FILES, open_graph, write_openvino
from blemish.images.framing import Framing
from blemish.methods.detector import AnyDetector, create
from blemish.methods.registry import METHODS
from blemish.methods.scoring import score_picture
from blemish.predict.in_order import in_order
from blemish.predict.trained import cores

BANK, ROUNDS = 4096, 3
Pixels = NDArray[np.uint8]


def detector_of(name: str) -> AnyDetector:
    params = load_params().method(name)
    framing = Framing(params.image_size, params.image_size, "fit", step=params.step)
    detector = create(name, params, 0, framing).eval()
    if name == "patchcore":
        detector.resize_bank(BANK)
        detector.bank.normal_(generator=torch.Generator().manual_seed(0))
    return detector


def forms(detector: AnyDetector, folder: Path) -> dict[str, Callable[[list[Pixels]], None]]:
    """What judges a list of images, by name; the reference is first."""
    size = detector.framing.window

    def judge(image: Pixels) -> None:
        score_picture(detector, torch.from_numpy(detector.framing.to_model(image)), size)

    def one_by_one(images: list[Pixels], threads: int) -> None:
        torch.set_num_threads(threads)
        for image in images:
            detector.eval()
            judge(image)

    def side_by_side(images: list[Pixels]) -> None:
        torch.set_num_threads(1)

        def alone(image: Pixels) -> None:
            torch.set_num_threads(1)
            judge(image)

        list(in_order(images, alone, cores(), cores()))

    found: dict[str, Callable[[list[Pixels]], None]] = {
        "one by one": partial(one_by_one, threads=cores()),
        "one core": partial(one_by_one, threads=1),
        "side by side": side_by_side,
    }
    onnx.save(onnx_model(detector, 0.5, {}), folder / FILES["onnx"])
    write_openvino(folder / FILES["onnx"], folder / FILES["openvino"])
    for name in FILES:
        run = open_graph(name, folder, threads=1)
        found[name] = lambda images, run=run: list(  # type: ignore[misc]
            in_order(images, lambda image: run(image[None]), cores(), cores())
        )
    return found


def seconds(form: Callable[[list[Pixels]], None], images: list[Pixels]) -> float:
    start = time.perf_counter()
    form(images)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--images", type=int, default=16)
    given = parser.parse_args()
    keep_freed_memory()
    figures: dict[str, float] = {}
    for name in given.methods:
        detector = detector_of(name)
        height, width = detector.framing.window
        random = np.random.default_rng(0)
        images = list(random.integers(0, 256, (given.images, height, width, 3), dtype=np.uint8))
        with tempfile.TemporaryDirectory() as folder:
            judged = forms(detector, Path(folder))
            times: dict[str, list[float]] = {form: [] for form in judged}
            for run in judged.values():
                run(images[:2])  # to warm up
            for _ in range(ROUNDS):
                for form, run in judged.items():
                    times[form].append(seconds(run, images))
        usual = {form: statistics.median(taken) for form, taken in times.items()}
        for form, taken in usual.items():
            ratio, least = (usual[one] / taken for one in ("one by one", "one core"))
            least /= cores()
            speed = given.images / taken
            print(f"{name:10} {form:13} {speed:7.2f} images/s  × {ratio:.2f}", flush=True)
            if form not in ("one by one", "one core"):
                key = f"{form.replace(' ', '_')}_{name}"
                figures |= {key: round(ratio, 2), f"{key}_least": round(least, 2)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
