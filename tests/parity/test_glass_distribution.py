"""The Fourier rule's test vectors: `docs/spec/glass.md` §11."""

import numpy as np
import pytest

from blemish.methods.glass.distribution import judge

ROW, COLUMN = np.mgrid[:288, :288]


def grey(levels: np.ndarray) -> np.ndarray:
    """8-bit levels as a mean image with three equal channels in [0, 1]."""
    return np.repeat((levels / 255).astype(np.float32)[..., None], 3, axis=2)


def disc(radius: int, level: float = 200) -> np.ndarray:
    inside = np.hypot(ROW - 144, COLUMN - 144) <= radius
    return np.where(inside, level, 0)


def square() -> np.ndarray:
    """100×100 at rows from 80 and columns from 90; the count depends on the place by a few."""
    levels = np.zeros((288, 288))
    levels[80:180, 90:190] = 200
    return levels


def test_flat_image() -> None:
    judgement = judge(grey(np.full((288, 288), 128)))
    assert (judgement.count, judgement.radius, judgement.hypersphere) == (1, 0, False)


def test_disc_is_compact() -> None:
    judgement = judge(grey(disc(100)))
    assert judgement.hypersphere
    assert (judgement.count, judgement.radius) == (329, 17)
    assert judgement.box_density == pytest.approx(0.285, abs=5e-4)
    assert judgement.disc_density == pytest.approx(0.365, abs=5e-4)


def test_smaller_disc_is_just_wide_enough() -> None:
    judgement = judge(grey(disc(60)))
    assert judgement.hypersphere
    assert judgement.count == 261
    assert judgement.radius == pytest.approx(12.17, abs=5e-3)


def test_square_is_not_compact() -> None:
    judgement = judge(grey(square()))
    assert not judgement.hypersphere
    assert (judgement.count, judgement.radius) == (281, 25)
    assert judgement.box_density == pytest.approx(0.112, abs=5e-4)
    assert judgement.disc_density == pytest.approx(0.143, abs=5e-4)


def test_ramp_is_compact_by_its_box_only() -> None:
    judgement = judge(grey(np.linspace(0, 255, 288)[None].repeat(288, axis=0)))
    assert judgement.hypersphere
    assert (judgement.count, judgement.radius) == (289, 144)
    assert judgement.box_density > 0.21 > judgement.disc_density


def test_black_image_has_no_strong_frequency() -> None:
    judgement = judge(grey(np.zeros((288, 288))))
    assert (judgement.count, judgement.hypersphere) == (0, False)


def test_channels_are_red_green_blue() -> None:
    red = grey(disc(100)) * np.array([1, 0, 0], dtype=np.float32)
    assert judge(red) == judge(grey(disc(100, round(0.299 * 200))))


def test_normalising_and_back_does_not_lose_a_level() -> None:
    level = 30  # plain truncation turns it into 29 in all three channels
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    image = grey(disc(60, level))
    assert judge(image) != judge(grey(disc(60, level - 1)))
    assert judge((image - mean) / std * std + mean) == judge(image)
