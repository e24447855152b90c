"""What every method's training shares: epochs, batches, curves, progress, device, the unit."""

import io
import itertools
import re
import sys
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from blemish.core import progress as progress_module
from blemish.core.device import choose_device
from blemish.core.errors import UserError
from blemish.core.params import TrainingParams
from blemish.core.progress import progress
from blemish.images.framing import Framing
from blemish.methods.loop import Loop
from blemish.synthesis.recipes import read_recipes, write_recipes
from tests.units import tiny_unit

PARAMS = TrainingParams(device="cpu")


def loop(seed: int = 0) -> Loop:
    return Loop(PARAMS, seed, "bolts glass seed 0")


# `docs/spec/glass.md` §10: an epoch stops after the batch in which the running count exceeds 392.
@pytest.mark.parametrize(
    ("images", "steps", "seen"),
    [(391, 49, 391), (392, 49, 392), (393, 50, 393), (209, 27, 209), (60, 8, 60), (8655, 50, 400)],
)
def test_an_epoch_has_the_published_number_of_steps(images: int, steps: int, seen: int) -> None:
    batches = list(loop().batches(images, 8, 392, epoch=0))
    assert len(batches) == steps
    rows = torch.cat(batches)
    assert len(rows) == seen
    assert len(set(rows.tolist())) == seen
    assert {len(batch) for batch in batches[:-1]} == {8}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(list(loop(seed).batches(50, 8, 392, epoch))).tolist()

    orders = [order(seed, epoch) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert orders == [order(seed, epoch) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert len({tuple(one) for one in orders}) == 9
    assert all(sorted(one) == list(range(50)) for one in orders)
    torch.manual_seed(123)  # the global generator has no part in it
    assert order(0, 0) == orders[0]


def test_each_purpose_and_seed_has_its_own_stream() -> None:
    streams = [loop(seed).generator(purpose) for seed in (0, 1) for purpose in (1, 2, 3)]
    numbers = {torch.rand(1, generator=stream).item() for stream in streams}
    assert len(numbers) == 6
    again = torch.rand(1, generator=loop(1).generator(3)).item()
    assert again in numbers


def test_curves_are_the_means_of_each_epoch(tmp_path) -> None:
    run = loop()
    for epoch in run.epochs(3):
        for step in range(4):
            value = torch.tensor(10.0 * epoch + step, requires_grad=True)
            run.log(loss=value, loss_local=value**2)
    run.write_curves(tmp_path / "curves.csv")
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert list(curves.columns) == ["epoch", "loss", "loss_local"]
    assert curves["epoch"].tolist() == [1, 2, 3]
    assert curves["loss"].tolist() == [1.5, 11.5, 21.5]
    assert curves["loss_local"].tolist() == [3.5, 133.5, 463.5]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(bad: float) -> None:
    run = loop()

    def train() -> None:
        for epoch in run.epochs(5):
            run.log(loss=torch.tensor(1.0))
            run.log(loss=torch.tensor(bad if epoch == 2 else 1.0))

    with pytest.raises(UserError) as caught:
        train()
    assert str(caught.value) == (
        "bolts glass seed 0: the loss is not a number in epoch 3: lower the learning rate"
    )
    assert len(run.curves) == 2


def test_a_device_that_is_not_there_is_named() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(UserError, match=rf"`training.device` is '{missing}'.*set it to auto or"):
        choose_device(missing)


def test_threads_are_set_where_asked() -> None:
    before = torch.get_num_threads()
    try:
        choose_device("cpu", 3)
        assert torch.get_num_threads() == 3
        choose_device("cpu", 0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_progress_off_a_terminal_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert list(progress(range(5), "reading", 5, "image")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")  # short work is silent
    monkeypatch.setattr(progress_module, "LINE_EVERY", 0.0)
    assert list(progress(iter("abc"), "bolts glass", 3, "epoch")) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"bolts glass: epoch 1 of 3, \d+ s left\nbolts glass: epoch 2 of 3, \d+ s left\n", err
    )


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(range(3), "scoring", 3, "image")) == [0, 1, 2]
    assert "scoring" in terminal.getvalue()
    assert "0/3" in terminal.getvalue()


def test_a_training_unit_holds_no_test_row() -> None:
    unit = tiny_unit().open()
    assert set(unit.manifest.rows["split"]) == {"train", "val"}
    assert set(unit.manifest.rows["label"]) == {0}
    assert not unit.manifest.rows["image"].str.startswith("test/").any()
    framing = Framing.square(32, "crop")
    assert unit.normals(framing).shape == (11, 3, 32, 32)
    assert unit.normals(framing, "val").shape == (3, 3, 32, 32)


def test_each_epoch_takes_the_next_draw_of_each_image() -> None:
    unit = tiny_unit().open()
    rows = torch.tensor([7, 0, 3])
    images = unit.manifest.of("train", 0)["image"].iloc[rows.numpy()].tolist()
    draws = []
    for epoch in range(6):
        recipes = unit.draw(rows, epoch, seed=0)
        assert recipes["image"].tolist() == images
        draws.append(recipes["draw"].tolist())
    for before, after in itertools.pairwise(draws):
        assert after == [(draw + 1) % unit.draws for draw in before]
    whole = torch.arange(11)
    starts = {tuple(unit.draw(whole, 0, seed)["draw"]) for seed in range(5)}
    assert len(starts) == 5
    part = unit.draw(rows, 4, seed=3)
    pd.testing.assert_frame_equal(
        part, unit.draw(whole, 4, seed=3).iloc[rows.numpy()].reset_index(drop=True)
    )


def test_recipes_of_another_unit_are_refused(tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    path = unit.synthetic / "recipes.parquet"
    recipes = read_recipes(path)
    shuffled = recipes.sample(frac=1, random_state=0)
    write_recipes(shuffled, path)  # the order of the rows does not matter
    pd.testing.assert_frame_equal(unit.open().recipes, tiny_unit().open().recipes)
    for wrong in (recipes.iloc[1:], recipes.assign(image="other.png"), recipes.iloc[:0]):
        write_recipes(wrong, path)
        with pytest.raises(UserError, match=r"recipes\.parquet: does not fit .*synthesize@tiny/bo"):
            unit.open()


def test_missing_or_damaged_files_are_named(tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    recipes = unit.synthetic / "recipes.parquet"
    whole = recipes.read_bytes()
    recipes.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"recipes\.parquet"):
        unit.open()
    recipes.unlink()
    with pytest.raises(UserError, match=r"recipes\.parquet"):
        unit.open()
    recipes.write_bytes(whole)
    image = unit.prepared / unit.open().manifest.rows["image"][0]
    image.write_bytes(np.random.default_rng(0).bytes(400))
    with pytest.raises(UserError, match=image.name):
        unit.open().normals(Framing.square(32, "crop"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_results_come_in_order_and_only_a_gpu_gets_its_next_one_meanwhile(device: str) -> None:
    running = loop()
    running.device = torch.device(device)  # only its name decides
    started: list[int] = []

    def job(number: int) -> int:
        started.append(number)
        return 10 * number

    results = running.prefetch(partial(job, number) for number in range(4))
    assert next(results) == 0
    deadline = time.monotonic() + 60
    while 1 not in started and time.monotonic() < deadline:
        time.sleep(0.001)
    # One ahead at most: memory does not fill up with batches.
    assert started == [0, 1]
    assert list(results) == [10, 20, 30]
    assert started == [0, 1, 2, 3]
    assert list(running.prefetch([])) == []


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_error_in_a_job_reaches_the_training(device: str) -> None:
    running = loop()
    running.device = torch.device(device)

    def fail() -> None:
        raise UserError("no defect met the foreground")

    with pytest.raises(UserError, match="no defect"):
        list(running.prefetch([fail]))
