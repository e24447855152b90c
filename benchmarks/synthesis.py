"""Synthesis: images/s of `render` against a plain per-image version of the same recipes.

The plain version has the shape of the published code: NumPy gradient noise on a mesh of the whole
picture, OpenCV's rotation, Pillow's texture operations, a float blend of the whole picture. It
draws the same numbers, so the two must agree; that is checked. Run on an idle machine:

    python benchmarks/synthesis.py [images]
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from untrained import untrained

from blemish.core.params import SynthesisParams, TextureParams, load_params
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from blemish.synthesis.augment import augment
from blemish.synthesis.masks import cell_masks
from blemish.synthesis.random import uniforms
from blemish.synthesis.recipes import draw_recipes
from blemish.synthesis.render import render
from blemish.synthesis.textures import TextureBank
from blemish.textures.bank import build_bank

BATCH, CELL = 8, 8
Floats = NDArray[np.float64]


def plain_noise(seed: int, stream: int, size: int) -> Floats:
    """Turned gradient noise of one image, whole-picture arrays for each corner."""
    seeds = torch.tensor([seed])
    numbers = uniforms(seeds, 16 * stream, 3)[0].numpy()
    rows, columns = (int(2 ** math.floor(6 * number)) for number in numbers[:2])
    angles = uniforms(seeds, 16 * stream + 1, 33 * 33).numpy().reshape(33, 33) * 2 * math.pi
    gradients = np.stack((np.sin(angles), np.cos(angles)), axis=-1)
    step = (rows / size, columns / size)
    mesh = np.mgrid[0 : rows : step[0], 0 : columns : step[1]]
    grid = mesh[:, :size, :size].transpose(1, 2, 0) % 1

    def corner(top: int, left: int) -> Floats:
        chosen = gradients[top : top + rows, left : left + columns]
        tiled = np.repeat(np.repeat(chosen, size // rows, axis=0), size // columns, axis=1)
        return ((grid - np.array([top, left])) * tiled).sum(axis=-1)

    fade = 6 * grid**5 - 15 * grid**4 + 10 * grid**3
    upper = corner(0, 0) + fade[..., 1] * (corner(0, 1) - corner(0, 0))
    lower = corner(1, 0) + fade[..., 1] * (corner(1, 1) - corner(1, 0))
    field = math.sqrt(2) * (upper + fade[..., 0] * (lower - upper))
    middle = ((size - 1) / 2, (size - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, math.degrees((numbers[2] - 0.5) * math.pi), 1)
    return np.asarray(cv2.warpAffine(field, turn, (size, size), flags=cv2.INTER_LINEAR))


def plain_mask(seed: int, size: int) -> NDArray[np.bool_]:
    """GLASS's mask of one image, drawn until a cell is positive."""
    for attempt in range(100):
        now = (seed + attempt * 0x9E3779B1) & 0xFFFFFFFF
        first, second = (plain_noise(now, stream, size) > 0.5 for stream in (1, 2))
        choice = float(uniforms(torch.tensor([now]), 3, 1))
        mask = first | second if choice > 2 / 3 else first & second if choice > 1 / 3 else first
        pooled = cell_masks(torch.from_numpy(mask)[None], size // CELL, size // CELL)
        if pooled.any():
            return np.asarray(mask)
    raise RuntimeError("no mask")


def plain_texture(path: Path, size: int) -> Image.Image:
    texture = Image.open(path).convert("RGB")
    scale = size / min(texture.size)
    longer = (max(size, round(texture.width * scale)), max(size, round(texture.height * scale)))
    return texture.resize(longer, Image.Resampling.BILINEAR)


def plain_image(
    image: NDArray[np.uint8], recipe: Any, load: Callable[[str], Image.Image]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One synthetic image, float32 (3, H, W) in [0, 1], from a picture (H, W, 3)."""
    size = image.shape[0]
    texture = augment(load(recipe.texture), int(recipe.seed))
    left, top = (texture.width - size) // 2, (texture.height - size) // 2
    texture = texture.crop((left, top, left + size, top + size))
    mask = plain_mask(int(recipe.seed), size)
    m = mask[:, :, None].astype(np.float32)
    x, t = (np.asarray(picture, dtype=np.float32) / 255 for picture in (image, texture))
    beta = np.float32(recipe.beta)
    blended = x * (1 - m) + (1 - beta) * t * m + beta * x * m
    return np.ascontiguousarray(blended.transpose(2, 0, 1)), mask


def seconds(work: Callable[[], Any], repeat: int = 3) -> float:
    """The fastest of a few runs; the first also fills caches."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def floor_seconds(size: int) -> float:
    """Reading picture and texture and writing picture and mask once: 19 bytes a pixel, copied."""
    source = torch.zeros(19 * size * size // 2, dtype=torch.uint8)
    target = torch.empty_like(source)  # a copy reads and writes: half the bytes each
    return seconds(lambda: target.copy_(source), 20)


def compare(size: int, count: int, bank: TextureBank, kinds: list[str]) -> dict[str, float]:
    """Images/s of both at one size; the speed of other kinds beside."""
    random = np.random.default_rng(size)
    pictures = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
    names = [f"{number}.png" for number in range(count)]

    def recipes_of(kind: str) -> pd.DataFrame:
        return draw_recipes(names, range(count), "train", kind, bank.names, SynthesisParams())

    def ours(recipes: pd.DataFrame) -> list[Any]:
        starts = range(0, count, BATCH)
        return [render(recipes[s : s + BATCH], images[s : s + BATCH], bank, CELL) for s in starts]

    recipes = recipes_of("perlin")
    held: dict[str, Image.Image] = {}

    def from_file(name: str) -> Image.Image:
        return plain_texture(bank.root / name, size)

    def from_memory(name: str) -> Image.Image:
        return held.setdefault(name, held.get(name) or from_file(name))

    def plain(load: Callable[[str], Image.Image]) -> list[Any]:
        rows = recipes.itertuples()
        return [
            plain_image(picture, row, load) for picture, row in zip(pictures, rows, strict=True)
        ]

    check_agreement(ours(recipes), plain(from_memory))
    times = {
        "ours": seconds(lambda: ours(recipes)) / count,
        "plain": seconds(lambda: plain(from_file), 2) / count,
        "plain_textures_in_memory": seconds(lambda: plain(from_memory), 2) / count,
        "floor": floor_seconds(size),
    }
    for kind in kinds:
        drawn = recipes_of(kind)
        times[kind] = seconds(partial(ours, drawn), 2) / count
    return times


def check_agreement(ours: list[Any], plain: list[Any]) -> None:
    """Masks agree but for OpenCV's coarse interpolation; where they do, so do pixels."""
    pictures = torch.cat([part[0] for part in ours]).numpy()
    masks = torch.cat([part[1] for part in ours]).numpy()
    expected = np.stack([picture for picture, _ in plain])
    same = masks == np.stack([mask for _, mask in plain])
    difference = np.abs(pictures - expected).max(axis=1)[same].max()
    print(
        f"same mask pixels {same.mean():.4%}, largest difference there {255 * difference:.2g}/255"
    )
    if same.mean() < 0.995 or difference > 1 / 255:
        raise SystemExit("the plain version and render disagree")


def idle_share(bank: TextureBank, steps: int = 16) -> tuple[float, float]:
    """The share of GLASS's training of params.yaml that waits for synthesis, and a step's time."""
    params = load_params()
    random = params.method("glass").model_copy(update={"weights": "random"})
    glass = untrained("glass", random).train()
    size, count = glass.framing.window, glass.params.batch_size
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)
    normals = glass.features(images.float() / 255)
    noise, optimizers = torch.Generator().manual_seed(0), trainer_of(glass).optimizers()

    def synthesise(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        names = [f"{step}-{number}.png" for number in range(count)]
        recipes = draw_recipes(names, [0] * count, "train", "perlin", bank.names, params.synthesis)
        return render(recipes, images, bank, glass.cell)

    jobs = (partial(synthesise, step) for step in range(steps + 2))
    batches = Loop(params.training, 0, "idle share").prefetch(jobs)
    waiting = total = 0.0
    for step in range(-2, steps):
        start = time.perf_counter()
        synthetic, masks = next(batches)
        arrival = time.perf_counter()
        losses = trainer_of(glass).losses(normals, glass.features(synthetic), masks, None, noise)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step >= 0:  # the first steps only warm up
            waiting += arrival - start
            total += time.perf_counter() - start
    return waiting / total, total / steps


def main(count: int = 64) -> None:
    from blemish.synthesis.kinds import TRAINED, UNTRAINED

    kinds = [kind for kind in (*TRAINED, *UNTRAINED) if kind not in {"perlin", "self", "crops"}]
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as name:
        build_bank(TextureParams(), Path(name))
        bank = TextureBank(Path(name), "train")
        for size in (256, 288):
            times = compare(size, count, bank, kinds)
            print(f"\n{size}²  {'':24}  ms/image  images/s")
            for title, spent in times.items():
                print(f"      {title:25} {1e3 * spent:9.3f} {1 / spent:9.0f}")
            figures[f"images_per_s_{size}"] = round(1 / times["ours"], 1)
            figures[f"ratio_{size}"] = round(times["plain"] / times["ours"], 2)
            in_memory = times["plain_textures_in_memory"] / times["ours"]
            figures[f"ratio_{size}_textures_in_memory"] = round(in_memory, 2)
            figures[f"floor_ratio_{size}"] = round(times["floor"] / times["ours"], 4)
        share, step = idle_share(bank)
    figures |= {"idle_share": round(share, 4), "glass_step_s": round(step, 4)}
    print(
        f"\nA GLASS step of params.yaml: {step:.3f} s, of which waiting for synthesis {share:.1%}"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
