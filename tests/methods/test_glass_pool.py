"""The pool of GLASS: which images it holds in which epoch, and that training goes on with it."""

from collections import Counter

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from blemish.core.params import TrainingParams
from blemish.methods.dlas.params import Params as Dlas
from blemish.methods.dlas_lcd.params import Params as DlasLcd
from blemish.methods.glass.params import Params
from blemish.methods.glass.pool import Drawn, Pool
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from tests.methods.tiny import TINY
from tests.models import new
from tests.units import tiny_unit


def drawn(rows: torch.Tensor, epoch: int) -> Drawn:
    """Cells that say which image they are of, and when they were drawn."""
    cells = torch.zeros(len(rows), 2, 3, 2)
    cells[..., 0], cells[..., 1] = rows[:, None, None].float(), float(epoch)
    return cells, cells + 100, torch.ones(len(rows), 2, 3, dtype=torch.bool)


def content(pool: Pool) -> list[tuple[float, float]]:
    rows = pool.sample(5000, torch.Generator().manual_seed(0))
    assert torch.equal(rows.synthetic, rows.normal + 100)
    return sorted({tuple(row) for row in rows.normal.tolist()})


def test_a_share_is_renewed_and_a_training_that_goes_on_has_the_same_pool() -> None:
    walked = Pool(10, 0.25, 40, 0, drawn)
    for epoch in range(7):
        walked.bring_to(epoch, 4)
    jumped = Pool(10, 0.25, 40, 0, drawn)
    jumped.bring_to(6, 3)
    assert content(walked) == content(jumped)
    assert Counter(walked.epochs_of(0).tolist()) == {0: 10}
    assert Counter(walked.epochs_of(2).tolist()) == {0: 4, 1: 3, 2: 3}
    assert Counter(walked.epochs_of(6).tolist()) == {3: 1, 4: 3, 5: 3, 6: 3}


def test_all_images_come_equally_often() -> None:
    pool = Pool(25, 0.2, 10, 0, drawn)
    counts = Counter(pool.rows_of(0).tolist())
    assert set(counts) == set(range(10))
    assert set(counts.values()) == {2, 3}
    assert not np.array_equal(pool.rows_of(0), pool.rows_of(1))


@pytest.mark.parametrize("method", ["glass", "dlas"])
@pytest.mark.parametrize("resize", ["squash", "tiles"])
@pytest.mark.parametrize("whiten", [False, True])
def test_heads_learn_from_a_pool(method: str, resize: str, whiten: bool) -> None:
    changes = {
        "pool": 12, "rows": 128, "steps": 30, "epochs": 8, "variant": "manifold",
        "noise": 0.5, "learning_rate": 0.003,
        "resize": resize, "standardise": not whiten, "whiten": whiten,
    }  # fmt: skip
    params = {"glass": Params, "dlas": Dlas}[method](**TINY[method].params | changes)
    ours = new(method, params)
    loop = Loop(TrainingParams(device="cpu", threads=1), 0, "tiny")
    trainer_of(ours).fit(tiny_unit().open(), loop)
    first, *_, last = (sum(v for k, v in row.items() if k != "epoch") for row in loop.curves)
    assert last < 0.85 * first
    again = new(method, params)
    trainer_of(again).fit(tiny_unit().open(), Loop(TrainingParams(device="cpu"), 0, "tiny"))
    for name, value in ours.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_what_a_pool_cannot_do_is_said() -> None:
    with pytest.raises(ValidationError, match="needs `variant: manifold`"):
        Params(pool=8, variant="hypersphere")
    with pytest.raises(ValidationError, match="which a `pool` of cells has not"):
        DlasLcd(pool=8)
    with pytest.raises(ValidationError, match="set one to false"):
        Params(whiten=True, standardise=True)
    assert DlasLcd(pool=8, coherent=False).pool == 8
