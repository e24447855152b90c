"""Training normals in drawn light and place: as much as was asked for, the same each time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from blemish.images.framing import Framing
from blemish.methods.registry import METHODS
from blemish.methods.variation import AS_THEY_ARE, Variation
from tests.methods.tiny import tiny
from tests.units import tiny_unit, train_model

SQUARE = Framing.square(64, "squash")
WINDOWS = Framing(64, 64, "tiles", overlap=16)


def test_nothing_varies_unless_asked() -> None:
    normals = tiny_unit().open().normals(SQUARE)
    assert normals.varied(AS_THEY_ARE) is normals
    assert torch.equal(normals.varied(Variation(light=1e-9))[:], normals[:])


def test_light_stays_within_its_bounds_and_goes_both_ways() -> None:
    grey = torch.full((200, 3, 8, 8), 100, dtype=torch.uint8)
    varied = Variation(light=0.25).of(grey)
    levels = np.array([int(varied[number][0, 0, 0]) for number in range(200)])
    assert levels.min() >= 80
    assert levels.max() <= 125
    assert (levels < 90).any()
    assert (levels > 112).any()


def test_pictures_move_by_a_share_of_their_side() -> None:
    dots = torch.zeros((50, 3, 41, 61), dtype=torch.uint8)
    dots[:, :, 20, 30] = 255
    varied = Variation(place=0.1).of(dots)
    places = np.array([divmod(int(varied[number][0].argmax()), 61) for number in range(50)])
    away = places - [20, 30]
    assert np.abs(away).max() == 4
    assert len(np.unique(away, axis=0)) > 10


@pytest.mark.parametrize("framing", [SQUARE, WINDOWS])
def test_only_training_normals_vary_and_always_alike(framing: Framing) -> None:
    plain = tiny_unit().open()
    unit = replace(plain, variation=Variation(0.3, 0.05, seed=1))
    first, again = unit.normals(framing)[:], unit.normals(framing)[:]
    assert torch.equal(first, again)
    assert first.shape == plain.normals(framing)[:].shape
    assert not torch.equal(first, plain.normals(framing)[:])
    other = replace(plain, variation=Variation(0.3, 0.05, seed=2)).normals(framing)[:]
    assert not torch.equal(first, other)
    assert torch.equal(unit.normals(framing, "val")[:], plain.normals(framing, "val")[:])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_varied_normals(method: str, tmp_path) -> None:
    params = tiny(method).params
    for name, light in (("plain", 0.0), ("varied", 0.3)):
        train_model(tiny_unit(), method, tmp_path / name, params | {"vary_light": light})
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "varied")]
    assert weights[0] != weights[1]
