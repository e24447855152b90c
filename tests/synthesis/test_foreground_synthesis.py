"""Defects lie on the foreground, and where none fits the user is told."""

import pytest
import torch

from blemish.core.errors import UserError
from blemish.synthesis.kinds import TRAINED, UNTRAINED
from blemish.synthesis.render import render
from tests.drawing import MAY_BE_EMPTY, new_bank, some_images, some_recipes


@pytest.mark.parametrize("kind", sorted({*TRAINED, *UNTRAINED} - {"clean"}))
def test_defects_lie_on_the_foreground_alone(kind: str) -> None:
    recipes, images = some_recipes(12, [kind]), some_images(64, 80, 12) // 4 + 96
    foreground = torch.zeros(12, 64, 80, dtype=torch.bool)
    foreground[:6, 8:40, 16:72] = True
    foreground[6:] = True
    pictures, masks = render(recipes, images, new_bank(), 8, foreground)
    changed = (pictures - images.float() / 255).abs().amax(dim=1) > 1e-6
    assert not (changed & ~foreground).any()
    assert not (masks & ~foreground).any()
    if kind not in MAY_BE_EMPTY:
        assert masks.flatten(1).any(dim=1).all()
    everywhere, free = render(recipes, images, new_bank(), 8)
    assert torch.equal(pictures[6:], everywhere[6:])  # all of an image is no restriction
    assert torch.equal(masks[6:], free[6:])


def test_an_empty_foreground_is_an_error_and_not_an_endless_search() -> None:
    nowhere = torch.zeros(1, 64, 64, dtype=torch.bool)
    with pytest.raises(UserError, match="no defect met the foreground in 100 attempts"):
        render(some_recipes(1, ["perlin"]), some_images(64, 64, 1), new_bank(), 8, nowhere)


def test_an_image_smaller_than_a_cell_is_named() -> None:
    with pytest.raises(UserError, match=r"image of 40×6 pixels is smaller than one cell .* 8×8"):
        render(some_recipes(1, ["perlin"]), some_images(6, 40, 1), new_bank(), 8)


def test_an_unknown_kind_is_named() -> None:
    recipes = some_recipes(2, ["perlin"]).assign(kind=["perlin", "perlim"])
    with pytest.raises(UserError, match="unknown kind 'perlim'"):
        render(recipes, some_images(64, 64, 2), new_bank(), 8)
