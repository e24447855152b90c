"""GLASS's memory of normal cells: what it keeps, how it is weighed, that a model carries it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from blemish.core.params import TrainingParams
from blemish.methods.dlas.params import Params as Dlas
from blemish.methods.dmad.params import Params as Dmad
from blemish.methods.glass.memory import WeighedMemory
from blemish.methods.glass.params import Params
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from tests.methods.tiny import TINY
from tests.models import new
from tests.units import tiny_unit

PARAMS = {"glass": Params, "dlas": Dlas, "dmad": Dmad}


def cells(count: int = 500, seed: int = 0) -> torch.Tensor:
    """Cells in two heaps, one of them small."""
    drawn = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    drawn[: count // 50] += 30
    return drawn


def filled(size: int = 20) -> WeighedMemory:
    memory = WeighedMemory(4)
    memory.choose(cells(), size, torch.Generator().manual_seed(0))
    logits = torch.linspace(-3, 5, 500)
    memory.balance(zip(logits.split(90), cells(seed=1).split(90), strict=True))
    return memory


def test_rare_normals_are_remembered_too() -> None:
    bank = filled().bank
    assert bank.shape == (20, 4)
    assert (bank.mean(dim=1) > 20).any()
    everything = cells().tolist()
    assert all(row in everything for row in bank.tolist())
    assert len(filled(10_000).bank) == 500  # all there are


def test_both_numbers_count_alike_in_the_normals_own_deviations() -> None:
    memory, logits, unseen = filled(), torch.linspace(-3, 5, 500), cells(seed=1)
    known = memory.bank[:1].expand(500, 4)
    alone = memory.add(logits.double(), known)
    assert float(alone.std(correction=0)) == pytest.approx(1, rel=1e-3)
    level = torch.ones(500, dtype=torch.float64)
    distances = memory.add(level, unseen)
    assert float(distances.std(correction=0)) == pytest.approx(1, rel=1e-3)
    assert float(memory.add(logits.double(), unseen).mean()) == pytest.approx(0, abs=1e-3)
    far = torch.full((500, 4), 100.0)
    assert (memory.add(level, far) > distances.max()).all()


@pytest.mark.parametrize("method", ["glass", "dlas"])
@pytest.mark.parametrize("resize", ["squash", "tiles"])
def test_a_model_carries_its_memory(method: str, resize: str) -> None:
    changes = {"memory": 30, "top_cells": 4, "resize": resize, "variant": "manifold"}
    params = PARAMS[method](**TINY[method].params | changes)
    ours = new(method, params)
    unit = tiny_unit().open()
    trainer_of(ours).fit(unit, Loop(TrainingParams(device="cpu", threads=1), 0, "tiny"))
    assert ours.memory is not None
    assert len(ours.memory.bank) == 30
    again = new(method, params, seed=5)
    again.load_state_dict(ours.state_dict())
    height, width = ours.framing.window
    images = torch.randint(
        256, (3, 3, height, width), generator=torch.Generator().manual_seed(0)
    ).to(torch.uint8)
    with torch.inference_mode():
        for one, other in zip(ours.eval().score(images), again.eval().score(images), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("method", ["glass", "dmad"])
def test_weights_kept_of_an_epoch_have_no_memory_yet_and_score_without(
    method: str, tmp_path: Path
) -> None:
    params = PARAMS[method](**TINY[method].params | {"memory": 30})
    training = TrainingParams(device="cpu", threads=1, keep_every=1)
    ours = new(method, params)
    trainer_of(ours).fit(tiny_unit().open(), Loop(training, 0, "tiny", tmp_path))
    kept = new(method, params)
    kept.load_state_dict(load_file(next(tmp_path.rglob("00001.safetensors"))))
    alone = new(method, params.model_copy(update={"memory": 0}))
    weights = kept.state_dict()
    shapes = alone.state_dict()
    alone.load_state_dict(
        {
            name: weights[name][: len(value)] if value.ndim else weights[name]
            for name, value in shapes.items()
        }
    )
    height, width = kept.framing.window
    image = torch.full((1, 3, height, width), 90, dtype=torch.uint8)
    with torch.inference_mode():
        for one, other in zip(kept.eval().score(image), alone.eval().score(image), strict=True):
            assert torch.equal(one, other)


def test_published_glass_has_no_memory() -> None:
    assert new("glass", Params(**TINY["glass"].params)).memory is None
