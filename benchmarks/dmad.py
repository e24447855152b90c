"""DMAD: a training step and the scoring of images against the plain, published form of both.

The plain form has the shape of the published code: coordinate channels concatenated to every
image, four heads of their own, a one-hot product with the codebook, an encoder whose weights
collect gradients that nobody steps, every field length and warp by itself, the forward deformation
map that nothing uses, one image at a time, maps smoothed on the host. It has the same weights, so
the two must agree; that is checked. Both take turns, the fastest of a few counts:

    python benchmarks/dmad.py              # the quick settings, then the published networks
    python benchmarks/dmad.py quick
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import starmap
from typing import Any

import numpy as np
import torch
from torch import Tensor
from untrained import untrained

from blemish.core.params import load_params
from blemish.methods.dmad.params import Params
from blemish.methods.dmad.plain import Plain
from blemish.methods.trainer import trainer_of


def optimizer_of(weights: Any) -> torch.optim.Optimizer:
    # Rate 0: the same work, and the same weights for the next step of both.
    return torch.optim.AdamW(weights, lr=0.0, betas=(0.5, 0.999), weight_decay=0.01)


def step_of(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Callable[[], float]:
    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(value.detach())

    return step


def fastest(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each way; they take turns, after a round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: min(durations) for name, durations in times.items()}


def compare(params: Params, batch: int, rounds: int) -> dict[str, float]:
    """Seconds of a training step and of scoring `batch` images, in both forms."""
    model = untrained("dmad", params.model_copy(update={"weights": "random"}))
    plain = Plain(model)
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 3, params.image_size, params.image_size)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    scaled = images.float() / 255
    weights = [weight for part in model.trained() for weight in part.parameters()]
    ours_step = step_of(
        optimizer_of(weights),
        lambda: torch.stack(list(trainer_of(model).losses(scaled).values())).sum(),
    )
    plain_step = step_of(optimizer_of(plain.trained()), lambda: plain.loss(scaled))
    model.train()
    plain.train()
    first, second = ours_step(), plain_step()
    if abs(first - second) > 1e-3 * abs(second):
        raise SystemExit(f"the two forms disagree: {first} and {second}")
    times = fastest({"ours_step": ours_step, "plain_step": plain_step}, rounds)
    model.eval()
    plain.eval()
    with torch.inference_mode():
        # The two saw the same batches, so their running statistics are the same.
        np.testing.assert_allclose(model.maps(images).numpy(), plain.maps(images), atol=2e-3)
        return times | fastest(
            {
                "ours_batch": lambda: model.maps(images),
                "ours_single": lambda: [model.maps(image[None]) for image in images],
                "plain": lambda: plain.maps(images),
            },
            rounds,
        )


def main(*names: str) -> None:
    published = Params(backbone="wide_resnet50_2")
    settings = {"quick": (load_params().method("dmad"), 8, 3), "published": (published, 2, 1)}
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    for name in names or settings:
        times = compare(*settings[name])
        batch = settings[name][1]
        print(f"\n{name}, batches of {batch}        seconds")
        print("\n".join(starmap("  {:24}{:10.3f}".format, times.items())))
        figures[f"step_ratio_{name}"] = round(times["plain_step"] / times["ours_step"], 2)
        figures[f"score_ratio_{name}"] = round(times["plain"] / times["ours_single"], 2)
        figures[f"score_batch_ratio_{name}"] = round(times["plain"] / times["ours_batch"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
