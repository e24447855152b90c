"""PatchCore's coreset: picks/s of ours against the plain greedy loop, on real patch features.

The points are patches of solar cells (the package elpv-dataset) in efficientnet_lite0's features,
projected to 128 dimensions as PatchCore does. Plain loops pass over all points at every pick; in
two forms, the distance by differences and the frugal one by products |x|² + |c|² − 2x·c. A part
of the points is done whole by all, and covering radii compared there; with all points the plain
loops run a few steps, of which each costs the same, and are extrapolated. Run on an idle machine:

    python benchmarks/patchcore.py [points [share]]
"""

import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from untrained import untrained

from blemish.core.params import TrainingParams
from blemish.datasets import elpv
from blemish.images.framing import Framing
from blemish.images.store import load_images
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.patchcore import plain
from blemish.methods.patchcore.coreset import Coreset
from blemish.methods.patchcore.params import Params
from blemish.methods.trainer import trainer_of

SIZE, CELLS = 256, 32**2
WHOLE, STEPS = 20_000, 10  # points done whole by all; plain steps that are extrapolated
PARAMS = Params(
    backbone="efficientnet_lite0", image_size=SIZE, resize="squash", pretrain_dim=112,
    target_dim=224,
)  # fmt: skip


def patches(count: int) -> Tensor:
    """Projected patch features of as many solar cells as needed: (count, 128)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        elpv.fetch("mono", folder)
        with (folder / "labels.csv").open(encoding="utf-8") as stream:
            good = [
                folder / name for name, probability in csv.reader(stream) if not float(probability)
            ]
        images = load_images(good[: -(-count // CELLS)], Framing.square(SIZE, "squash"), "reading")
    method = untrained("patchcore", PARAMS)
    loop = Loop(TrainingParams(device="cpu"), 0, "benchmark")
    return (
        trainer_of(method).project(Normals.whole(images), loop.generator(2), loop)[:count].clone()
    )


def by_products(squares: Tensor) -> plain.Distances:
    def distances(points: Tensor, pick: int) -> Tensor:
        return (squares + squares[pick] - 2 * (points @ points[pick])).clamp_(min=0)

    return distances


def greedy(points: Tensor, size: int, distances: plain.Distances) -> Tensor:
    return torch.tensor(plain.greedy(points, size, 0, distances)[0])


def ours(points: Tensor, size: int) -> Tensor:
    coreset = Coreset(points.clone(), size, 0)
    coreset.grow(size)
    return coreset.picked


def timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def show(title: str, size: int, seconds: float, radius: float | None, note: str = "") -> None:
    shown = "" if radius is None else f"{radius:9.4f}"
    print(f"  {title:22} {seconds:10.2f} {size / seconds:9.1f} {shown:>9}  {note}")


def main(count: str = "343000", share: str = "0.1") -> None:
    points = patches(int(count))
    squares = points.square().sum(dim=1)
    figures: dict[str, float] = {"threads": torch.get_num_threads(), "points": len(points)}
    head = f"\n{'':24} {'seconds':>10} {'picks/s':>9} {'radius':>9}"

    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    part = points[order[:WHOLE]].clone()
    size = int(len(part) * float(share))
    print(f"{head}\n{len(part):,} points, {size:,} picks")
    mine, seconds = timed(lambda: ours(part, size))
    radius = plain.covering_radius(part, mine)
    show("ours", size, seconds, radius)
    for name, form in forms(part.square().sum(dim=1)).items():
        picked, spent = timed(lambda form=form: greedy(part, size, form))  # type: ignore[misc]
        reference = plain.covering_radius(part, picked)
        show(f"plain, {name}", size, spent, reference)
        figures[f"whole_ratio_{name}"] = round(spent / seconds, 2)
        figures[f"radius_ratio_{name}"] = round(reference / radius, 5)

    size = int(len(points) * float(share))
    print(f"{head}\n{len(points):,} points, {size:,} picks")
    mine, seconds = timed(lambda: ours(points, size))
    show("ours", size, seconds, plain.covering_radius(points, mine))
    figures["picks_per_s"] = round(size / seconds, 1)
    for name, form in forms(squares).items():
        greedy(points, 2, form)  # warm
        spent = timed(lambda form=form: greedy(points, STEPS, form))[1] / STEPS * size  # type: ignore[misc]
        show(f"plain, {name}", size, spent, None, f"extrapolated from {STEPS} steps")
        figures[f"ratio_{name}"] = round(spent / seconds, 2)
    print(json.dumps(figures))


def forms(squares: Tensor) -> dict[str, plain.Distances]:
    return {"differences": plain.squared_distances, "products": by_products(squares)}


if __name__ == "__main__":
    main(*sys.argv[1:])
