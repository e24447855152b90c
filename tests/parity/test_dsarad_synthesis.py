"""DSARAD's synthesis, `docs/spec/dsarad.md` §§2.4–2.5.

Mask statistics, the coin for clean pictures, the blend's weight, the ten augmenters.
"""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from skimage import data

from blemish.core.params import SynthesisParams
from blemish.methods.dsarad import plain
from blemish.synthesis import augment_dsarad as augmenters
from blemish.synthesis.masks import single_perlin_masks
from blemish.synthesis.perlin import draw_numbers, straight_field
from blemish.synthesis.recipes import draw_recipes
from blemish.synthesis.render import render
from tests.drawing import new_bank, some_images

NAMES = [f"{number}.png" for number in range(3000)]


def some(count: int = 3000):
    return draw_recipes(
        NAMES[:count], [0] * count, "train", "dsarad", ["a", "b"], SynthesisParams()
    )


def test_coverage_before_rotation() -> None:
    seeds = torch.arange(800)
    fields = []
    for part in seeds.split(50):
        cells, _, angles = draw_numbers(part, 1)
        fields.append(straight_field(cells, angles, 256, 256) > 0.5)
    areas = torch.cat(fields).flatten(1).double().mean(dim=1)
    error = 3 * areas.std().item() * math.sqrt(1 / 800 + 1 / 1000)
    assert areas.mean().item() == pytest.approx(0.056, abs=error + 0.0005)
    assert areas.quantile(0.9).item() == pytest.approx(0.076, abs=0.01)
    assert (areas == 0).double().mean().item() == pytest.approx(0.04, abs=0.025)


def test_half_the_draws_are_clean_and_beta_is_uniform() -> None:
    recipes = some()
    clean = recipes["kind"] == "clean"
    assert clean.mean() == pytest.approx(0.5, abs=3 * 0.5 / math.sqrt(3000))
    assert recipes.loc[clean, ["texture", "beta", "visibility"]].isna().all(axis=None)
    assert set(recipes["kind"]) == {"clean", "dsarad"}
    beta = recipes.loc[~clean, "beta"]
    assert stats.kstest(beta / 0.8, "uniform").pvalue > 0.01


def test_the_blend_is_the_published_one_and_a_mask_may_be_empty() -> None:
    bank = new_bank()
    recipes = draw_recipes(NAMES[:60], [0] * 60, "train", "dsarad", bank.names, SynthesisParams())
    images = some_images(48, 64, 60)
    pictures, masks = render(recipes, images, bank, 8)
    seeds = torch.tensor(recipes["seed"].tolist())
    expected = single_perlin_masks(seeds, 48, 64)
    for number, recipe in enumerate(recipes.itertuples()):
        x = images[number].double() / 255
        if recipe.kind == "clean":
            assert not masks[number].any()
            assert torch.equal(pictures[number], images[number].float() / 255)
            continue
        assert torch.equal(masks[number], expected[number])
        texture = bank.draw_squashed(recipe.texture, recipe.seed, 48, 64)
        source = torch.from_numpy(texture.copy()).permute(2, 0, 1).double() / 255
        m, b = masks[number].double(), recipe.beta
        wanted = plain.blend(x, source, m, b)
        np.testing.assert_allclose(pictures[number].numpy(), wanted.numpy(), rtol=0, atol=1e-6)


class Fixed:
    """Stands where an operation draws its numbers: hands out given ones, checks the ranges."""

    def __init__(self, *draws) -> None:
        self.draws = list(draws)

    def _next(self, *asked):
        value, expected = self.draws.pop(0)
        assert asked == expected
        return value

    def uniform(self, *asked):
        return self._next("uniform", *asked)

    def integers(self, *asked):
        return self._next("integers", *asked)

    def random(self):
        return self._next("random")


def picture() -> np.ndarray:
    return np.asarray(Image.fromarray(data.coffee()).resize((90, 64)))


OPERATIONS = {
    "gamma": (
        0,
        [(np.array([0.5, 1.0, 2.0]), ("uniform", 0.5, 2.0, 3))],
        lambda t: plain.gamma(t, np.array([0.5, 1.0, 2.0])),
    ),
    "brightness": (
        1,
        [
            (1, ("integers", 6)),
            (1.1, ("uniform", 0.8, 1.2)),
            (-20, ("integers", -30, 31)),
            (0.4, ("random",)),
        ],
        lambda t: plain.brightness(t, 1.1, -20),
    ),
    "sharpness": (2, [(1.7, ("uniform", 0, 2))], lambda t: plain.sharpness(t, 1.7)),
    "hue and saturation": (
        3,
        [((-40, 33), ("integers", -50, 51, 2))],
        lambda t: plain.hue_and_saturation(t, -40, 33),
    ),
    "solarize": (
        4,
        [(100.0, ("uniform", 32, 128)), (0.2, ("random",))],
        lambda t: plain.solarize(t, 100),
    ),
    "not solarized": (4, [(100.0, ("uniform", 32, 128)), (0.7, ("random",))], lambda t: t),
    "posterize": (5, [(3, ("integers", 1, 9))], lambda t: plain.posterize(t, 3)),
    "posterize, all bits": (5, [(8, ("integers", 1, 9))], lambda t: t),
    "invert": (6, [], plain.invert),
    "autocontrast": (7, [(12, ("integers", 21))], lambda t: plain.autocontrast(t, 12)),
    "equalize": (8, [], plain.equalize),
    "rotation": (9, [(30.0, ("uniform", -45, 45))], lambda t: plain.rotation(t, 30)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_alone(name: str) -> None:
    number, numbers, expected = OPERATIONS[name]
    fixed = Fixed(*numbers)
    found = augmenters.apply(number, picture(), fixed).astype(int)
    assert fixed.draws == []
    difference = np.abs(found - expected(picture()).astype(int))
    if name == "rotation":  # OpenCV and Pillow treat the border's last half pixel differently
        assert np.median(difference) == 0
        assert np.quantile(difference, 0.95) <= 2
    else:
        assert difference.max() == 0


def test_three_of_ten_in_uniform_choice_taken_for_bgr(monkeypatch: pytest.MonkeyPatch) -> None:
    applied, first_channels = [], []

    def watched(operation, texture, random):  # noqa: ARG001
        applied.append(operation)
        first_channels.append(int(texture[0, 0, 0]))
        return texture

    monkeypatch.setattr(augmenters, "apply", watched)
    texture = np.zeros((4, 4, 3), np.uint8)
    texture[:, :, 2] = 77  # blue
    for seed in range(1000):
        assert np.array_equal(augmenters.augment(texture, seed), texture)
    triples = np.array(applied).reshape(1000, 3)
    assert all(len(set(triple)) == 3 for triple in triples.tolist())
    assert stats.chisquare(np.bincount(triples.ravel(), minlength=10)).pvalue > 0.01
    assert set(first_channels) == {77}
