"""Procedural textures for the built-in bank: each class is a family with random colours."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

VARIANTS = 8
Field = NDArray[np.float64]
Maker = Callable[[np.random.Generator, Field, Field], Field]


def write_textures(folder: Path, side: int, seed: int) -> None:
    """Write VARIANTS textures of each family, `<family>/NN.png`, side×side RGB."""
    y, x = np.mgrid[:side, :side] / side
    for number, (family, maker) in enumerate(FAMILIES.items()):
        (folder / family).mkdir(parents=True)
        for variant in range(VARIANTS):
            random = np.random.default_rng([seed, number, variant])
            pixels = _coloured(random, maker(random, y, x))
            Image.fromarray(pixels).save(folder / family / f"{variant:02d}.png")


def _coloured(random: np.random.Generator, field: Field) -> NDArray[np.uint8]:
    """Map a field to a blend of two colours, with a little grain."""
    low, high = field.min(), field.max()
    share = ((field - low) / (high - low + 1e-12))[:, :, None]
    dark, bright = random.uniform(0, 0.45, 3), random.uniform(0.4, 1, 3)
    if random.uniform() < 0.5:
        dark, bright = np.repeat(dark.mean(), 3), np.repeat(bright.mean(), 3)
    grain = random.normal(0, 0.02, field.shape)[:, :, None]
    pixels = np.clip(dark + share * (bright - dark) + grain, 0, 1) * 255
    return np.asarray(pixels.astype(np.uint8))


def _turned(random: np.random.Generator, y: Field, x: Field) -> tuple[Field, Field]:
    angle = random.uniform(0, np.pi)
    return np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x


def _noise(random: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Field:
    """Smooth noise of standard deviation one."""
    field = gaussian_filter(random.normal(size=shape), sigma, mode="wrap")
    smooth: Field = field / field.std()
    return smooth


def _stripes(random: np.random.Generator, y: Field, x: Field) -> Field:
    across, _ = _turned(random, y, x)
    return np.sign(np.sin(2 * np.pi * across * random.uniform(4, 30)) + random.uniform(-0.5, 0.5))


def _waves(random: np.random.Generator, y: Field, x: Field) -> Field:
    across, along = _turned(random, y, x)
    bend = random.uniform(0.01, 0.08) * np.sin(2 * np.pi * along * random.uniform(1, 5))
    return np.sin(2 * np.pi * (across + bend) * random.uniform(5, 25))


def _checks(random: np.random.Generator, y: Field, x: Field) -> Field:
    down, across = _turned(random, y, x)
    rows = np.sin(2 * np.pi * down * random.uniform(3, 16))
    return np.asarray(np.sign(rows * np.sin(2 * np.pi * across * random.uniform(3, 16))))


def _dots(random: np.random.Generator, y: Field, x: Field) -> Field:
    down, across = _turned(random, y, x)
    count = random.uniform(6, 24)
    distance = np.hypot((down * count) % 1 - 0.5, (across * count) % 1 - 0.5)
    return 1 / (1 + np.exp((distance - random.uniform(0.15, 0.4)) * 30))


def _clouds(random: np.random.Generator, y: Field, x: Field) -> Field:  # noqa: ARG001
    octaves = [2.0**octave for octave in range(1, 6)]
    return np.asarray(np.sum([scale * _noise(random, y.shape, scale) for scale in octaves], axis=0))


def _marble(random: np.random.Generator, y: Field, x: Field) -> Field:
    across, _ = _turned(random, y, x)
    veins = across * random.uniform(3, 9) + 0.6 * _noise(random, y.shape, random.uniform(10, 25))
    return np.abs(np.sin(np.pi * veins)) ** random.uniform(0.3, 1)


def _wood(random: np.random.Generator, y: Field, x: Field) -> Field:
    distance = np.hypot((y - random.uniform(-1, 0)) * random.uniform(0.1, 0.4), x - 0.5)
    return ((distance + 0.01 * _noise(random, y.shape, 12)) * random.uniform(15, 40)) % 1


def _weave(random: np.random.Generator, y: Field, x: Field) -> Field:
    count = random.uniform(10, 40)
    over = (np.floor(y * count) + np.floor(x * count)) % 2
    return np.where(
        over > 0, np.sin(np.pi * (y * count % 1)), 0.8 * np.sin(np.pi * (x * count % 1))
    )


def _cells(random: np.random.Generator, y: Field, x: Field) -> Field:
    points = random.uniform(-0.1, 1.1, (int(random.integers(40, 400)), 2))
    nearest = np.asarray(cKDTree(points).query(np.stack((y, x), axis=-1), k=2)[0])
    walls = (nearest[..., 1] - nearest[..., 0]) * len(points) ** 0.5
    return np.asarray(np.minimum(walls, 0.6))


def _speckle(random: np.random.Generator, y: Field, x: Field) -> Field:  # noqa: ARG001
    grains = _noise(random, y.shape, random.uniform(0.8, 3))
    return np.clip(grains, random.uniform(-1, 1), None)


def _scales(random: np.random.Generator, y: Field, x: Field) -> Field:
    count = random.uniform(6, 18)
    row = np.floor(y * count)
    return np.hypot((x * count + 0.5 * (row % 2)) % 1 - 0.5, (y * count) % 1)


FAMILIES: dict[str, Maker] = {
    "cells": _cells,
    "checks": _checks,
    "clouds": _clouds,
    "dots": _dots,
    "marble": _marble,
    "scales": _scales,
    "speckle": _speckle,
    "stripes": _stripes,
    "waves": _waves,
    "weave": _weave,
    "wood": _wood,
}
