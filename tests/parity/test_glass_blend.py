"""GLASS's textures, `docs/spec/glass.md` §3.3–3.4: operations on a texture, blending it in."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats
from skimage import data
from torchvision.transforms.v2 import functional as tv

from blemish.core.params import BlendParams, SynthesisParams
from blemish.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from blemish.synthesis import augment, textures
from blemish.synthesis.recipes import draw_recipes
from blemish.synthesis.render import render
from blemish.synthesis.textures import TextureBank
from tests.units import texture_bank


def test_beta_is_a_clipped_normal_distribution() -> None:
    images = [f"train/good/{number}.png" for number in range(4000)]
    recipes = draw_recipes(images, [0] * 4000, "train", "perlin", ["a"], SynthesisParams())
    beta = recipes["beta"].to_numpy()
    assert beta.min() == 0.2
    assert beta.max() == 0.8
    assert beta.mean() == pytest.approx(0.5, abs=3 * 0.1 / math.sqrt(4000))
    assert beta.std() == pytest.approx(0.1, abs=0.005)
    inner = beta[(beta > 0.2) & (beta < 0.8)]
    assert stats.kstest(inner, stats.truncnorm(-3, 3, 0.5, 0.1).cdf).pvalue > 0.01
    narrow = SynthesisParams(blend=BlendParams(mean=0.6, std=0.0, low=0.1, high=0.9))
    fixed = draw_recipes(images[:9], [0] * 9, "train", "perlin", ["a"], narrow)
    assert set(fixed["beta"]) == {0.6}


def test_blend_is_the_published_one_in_normalised_space() -> None:
    bank = TextureBank(texture_bank(), "train")
    images = [f"{number}.png" for number in range(6)]
    recipes = draw_recipes(images, [0] * 6, "train", "perlin", bank.names, SynthesisParams())
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (6, 3, 40, 56), dtype=np.uint8)
    synthetic, masks = render(recipes, torch.from_numpy(pictures), bank, 8)

    def normalised(image: np.ndarray) -> np.ndarray:
        return (image - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)

    for number, recipe in enumerate(recipes.itertuples()):
        m = masks[number].numpy()[:, :, None].astype(np.float64)
        texture = bank.draw(recipe.texture, recipe.seed, 40, 56) / 255
        x, t = normalised(pictures[number].transpose(1, 2, 0) / 255), normalised(texture)
        expected = x * (1 - m) + (1 - recipe.beta) * t * m + recipe.beta * x * m
        blended = normalised(synthetic[number].permute(1, 2, 0).double().numpy())
        # float32 pixels, divided by deviations of 0.22.
        np.testing.assert_allclose(blended, expected, rtol=0, atol=1e-6)


class Fixed:
    """Stands where the operation draws its numbers: hands out given ones, checks the ranges."""

    def __init__(self, *draws: tuple[float, float, float]) -> None:
        self.draws = list(draws)

    def uniform(self, low: float, high: float) -> float:
        value, expected_low, expected_high = self.draws.pop(0)
        assert (low, high) == (expected_low, expected_high)
        return value


def picture() -> Image.Image:
    return Image.fromarray(data.coffee()).resize((90, 64))


OPERATIONS = {
    "contrast": (0, [(0.83, 0.8, 1.2)], lambda image: tv.adjust_contrast(image, 0.83)),
    "brightness": (1, [(1.17, 0.8, 1.2)], lambda image: tv.adjust_brightness(image, 1.17)),
    "saturation, hue up": (
        2,
        [(1.2, 0.8, 1.2), (0.13, -0.2, 0.2)],
        lambda image: tv.adjust_hue(tv.adjust_saturation(image, 1.2), 0.13),
    ),
    "saturation, hue down": (
        2,
        [(0.8, 0.8, 1.2), (-0.19, -0.2, 0.2)],
        lambda image: tv.adjust_hue(tv.adjust_saturation(image, 0.8), -0.19),
    ),
    "horizontal flip": (3, [], tv.horizontal_flip),
    "vertical flip": (4, [], tv.vertical_flip),
    "greyscale": (5, [], lambda image: tv.rgb_to_grayscale(image, num_output_channels=3)),
    "automatic contrast": (6, [], tv.autocontrast),
    "equalisation": (7, [], tv.equalize),
    "rotation": (8, [(-31.5, -45, 45)], lambda image: tv.rotate(image, -31.5)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_texture_operation_alone(name: str) -> None:
    number, numbers, expected = OPERATIONS[name]
    fixed = Fixed(*numbers)
    changed = np.asarray(
        augment.apply_operation(number, picture(), augment.draw_strengths(number, fixed))
    )
    assert fixed.draws == []
    assert np.array_equal(changed, np.asarray(expected(picture())))
    assert not np.array_equal(changed, np.asarray(picture()))
    # torchvision's arithmetic on tensors, which shares no code with Pillow's. It rounds
    # otherwise, and turns hues in floating point where Pillow's hue has 256 levels.
    exact = expected(tv.pil_to_tensor(picture())).permute(1, 2, 0).numpy()
    difference = np.abs(changed.astype(int) - exact.astype(int))
    assert difference.mean() < (3 if "hue" in name else 1)


def test_three_different_operations_in_drawn_order(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[int] = []
    real = augment.apply_operation

    def watched(operation: int, *rest: object) -> Image.Image:
        applied.append(operation)
        return real(operation, *rest)

    monkeypatch.setattr(augment, "apply_operation", watched)
    small = picture().resize((12, 10))
    for seed in range(1500):
        augment.augment(small, seed)
    triples = np.array(applied).reshape(1500, 3)
    assert all(len(set(triple)) == 3 for triple in triples.tolist())
    counts = np.bincount(triples.ravel(), minlength=9)
    assert len(counts) == 9
    assert stats.chisquare(counts).pvalue > 0.01  # each with probability 1/3
    first = np.bincount(triples[:, 0], minlength=9)
    assert stats.chisquare(first).pvalue > 0.01  # and no operation always comes first


def test_the_texture_covers_the_image_before_it_is_cut(tmp_path) -> None:
    (tmp_path / "wide").mkdir()
    ramp = np.tile(np.arange(60, dtype=np.uint8) * 4, (20, 1))
    Image.fromarray(np.repeat(ramp[:, :, None], 3, axis=2)).save(tmp_path / "wide" / "00.png")
    index = pd.DataFrame({"file": ["wide/00.png"], "class": ["wide"], "purpose": ["train"]})
    index.to_csv(tmp_path / textures.INDEX, index=False)
    bank = TextureBank(tmp_path, "train")
    # A seed without any operation that moves or repaints pixels: contrast, brightness, saturation.
    plain = next(
        seed
        for seed in range(5000)
        if set(np.random.default_rng([seed, 7]).choice(9, 3, replace=False)) == {0, 1, 2}
    )
    columns = bank.draw("wide/00.png", plain, 40, 40)[0].mean(axis=1)
    # Doubled to 120×40, the middle third of the ramp is left: 40 pixels over 20 texels.
    expected = 4 * (np.arange(40) / 2 + 19.75)
    assert np.corrcoef(columns, expected)[0, 1] > 0.999
    # Contrast and brightness change the span to 0.8²…1.2² of it; the whole ramp would triple it.
    assert 0.6 < np.ptp(columns) / np.ptp(expected) < 1.5
