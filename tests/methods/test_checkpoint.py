"""A killed training goes on from its last checkpoint and ends with the bytes of a whole one."""

import shutil
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, read_yaml
from blemish.methods.checkpoint import CHECKPOINTS, Checkpoint, Moment, key_of
from blemish.methods.loop import Loop
from blemish.methods.registry import METHODS
from blemish.methods.saved import EPOCHS
from stages import train
from tests.methods.tiny import tiny
from tests.units import NAME, PARAMS, bytes_of, params_folder, tiny_unit

EVERY_EPOCH = TrainingParams(device="cpu", threads=1, checkpoint_seconds=0, keep_every=1)


class Killed(BaseException):
    """Ends a training between two steps, as a signal does."""


def fit(out: Path, checkpoint: Path, stop_after: int | None = None) -> list[int]:
    """A line fitted in two phases; the epochs that ran, of both."""
    loop = Loop(EVERY_EPOCH, 0, "line", out, Checkpoint(checkpoint, "key"))
    layer, seen = nn.Linear(3, 1), []
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    noise = loop.generator(1)
    for phase in ("coarse", "fine"):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1 if phase == "coarse" else 0.01)
        rate = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        for epoch in loop.epochs(3, layer, optimizer, rate, noise, phase=phase):
            for _ in range(4):
                if stop_after is not None and len(seen) == stop_after:
                    raise Killed
                x = torch.randn(8, 3, generator=noise)
                loss = (layer(x) - x.sum(dim=1, keepdim=True)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loop.log(loss=loss)
            rate.step()
            loop.save_epoch(layer, epoch + 3 * (phase == "fine"))
            seen.append(epoch)
    out.mkdir()
    torch.save(layer.weight, out / "weight.pt")
    loop.write_curves(out / "curves.csv")
    loop.export_epochs()
    return seen


@pytest.mark.parametrize("stop", range(1, 6))
def test_two_phases_go_on_wherever_they_were_stopped(tmp_path, stop: int) -> None:
    assert fit(tmp_path / "whole", tmp_path / "a") == [0, 1, 2, 0, 1, 2]
    with pytest.raises(Killed):
        fit(tmp_path / "resumed", tmp_path / "b", stop)
    assert fit(tmp_path / "resumed", tmp_path / "b") == [0, 1, 2, 0, 1, 2][stop:]
    assert bytes_of(tmp_path / "resumed") == bytes_of(tmp_path / "whole")
    assert len(list((tmp_path / "whole" / EPOCHS).iterdir())) == 6


def test_a_checkpoint_of_another_key_or_a_damaged_one_is_not_taken(tmp_path) -> None:
    moment = Moment("train", 3, ("first",), [{"epoch": 1, "loss": 0.5}], [{"w": torch.ones(2)}])
    kept = Checkpoint(tmp_path, "one")
    assert kept.load() is None
    kept.save(moment)
    found = kept.load()
    assert found is not None
    assert (found.phase, found.epoch, found.finished) == ("train", 3, ("first",))
    assert found.curves == moment.curves
    assert found.states[0]["w"].tolist() == [1, 1]
    assert Checkpoint(tmp_path, "two").load() is None
    file = tmp_path / "one" / "state.safetensors"
    whole = file.read_bytes()
    for damaged in (b"", whole[:20], whole[:-3], b"\x80\x04junk"):
        file.write_bytes(damaged)
        assert kept.load() is None
    kept.remove()
    assert not tmp_path.exists()


def test_optimisers_keep_numbered_keys_tuples_and_none(tmp_path) -> None:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), betas=(0.5, 0.9))
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    kept = Checkpoint(tmp_path, "key")
    kept.save(Moment("train", 1, (), [], [optimizer.state_dict()]))
    found = kept.load()
    assert found is not None
    state = found.states[0]
    assert set(state["state"]) == {0, 1}
    assert state["param_groups"] == optimizer.state_dict()["param_groups"]


def test_the_key_follows_facts_and_the_bytes_and_names_of_files(tmp_path) -> None:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "a.png").write_bytes(b"1")
    missing = tmp_path / "none"
    first = key_of({"seed": 0}, [tmp_path / "bank", missing])
    assert first == key_of({"seed": 0}, [tmp_path / "bank", missing])
    assert first != key_of({"seed": 1}, [tmp_path / "bank", missing])
    (tmp_path / "bank" / "a.png").write_bytes(b"2")
    second = key_of({"seed": 0}, [tmp_path / "bank", missing])
    (tmp_path / "bank" / "a.png").rename(tmp_path / "bank" / "b.png")
    third = key_of({"seed": 0}, [tmp_path / "bank", missing])
    assert len({first, second, third}) == 3


def test_a_weight_that_is_no_number_is_never_kept(tmp_path) -> None:
    loop = Loop(EVERY_EPOCH, 0, "line", None, Checkpoint(tmp_path, "key"))
    layer = nn.Linear(1, 1)

    def run() -> None:
        for _ in loop.epochs(2, layer):
            loop.log(loss=torch.tensor(1.0))
            nn.init.constant_(layer.weight, float("nan"))

    with pytest.raises(UserError, match="line: a weight is not a number after epoch 1: lower"):
        run()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path, capsys) -> None:
    (tmp_path / "key").write_text("a file where the folder should be")
    loop = Loop(EVERY_EPOCH, 0, "line", None, Checkpoint(tmp_path, "key"))
    layer = nn.Linear(1, 1)
    for _ in loop.epochs(2, layer):
        loop.log(loss=torch.tensor(1.0))
    assert len(loop.curves) == 2
    assert "line: no checkpoint after epoch 1: " in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_with_the_same_bytes_after_a_kill(method: str, monkeypatch) -> None:
    if not tiny(method).diverging:
        pytest.skip(f"{method} has no epochs to go on from")
    unit = tiny_unit()
    changes = {
        method: tiny(method).params,
        "training": PARAMS["training"] | {"checkpoint_seconds": 0, "keep_every": 1},
    }
    arguments = [NAME, method, "0", *map(str, unit.inputs)]
    with params_folder(changes):
        train.main(*arguments, "whole")
        assert not (CHECKPOINTS / NAME / f"{method}-0").exists()
        save, saved = Checkpoint.save, []

        def save_and_stop(checkpoint: Checkpoint, moment: Moment) -> None:
            save(checkpoint, moment)
            saved.append(moment.epoch)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", save_and_stop)
            with pytest.raises(Killed):
                train.main(*arguments, "resumed")
        assert saved == [1]
        assert not Path("resumed").exists()
        # Another seed's and another parameter's training find nothing to go on from.
        assert len(list((CHECKPOINTS / NAME).iterdir())) == 1
        epochs: list[int] = []
        keep = Loop.save_epoch
        monkeypatch.setattr(Loop, "save_epoch", lambda *a: (epochs.append(a[2]), keep(*a)))
        train.main(*arguments, "resumed")
        assert epochs[0] == 1
        assert bytes_of(Path("resumed")) == bytes_of(Path("whole"))
        shutil.rmtree(CHECKPOINTS, ignore_errors=True)


class Slow(Checkpoint):
    """A checkpoint that takes long to write."""

    saved: list[float]

    def save(self, _: Moment) -> None:
        self.saved.append(time.monotonic())
        time.sleep(0.04)


@pytest.mark.parametrize(("seconds", "most"), [(0.02, 2), (0.0, 60)])
def test_checkpoints_take_a_small_share_of_the_time(tmp_path, seconds: float, most: int) -> None:
    """After one that took 0.04 s the next is due in 2 s; 0 asks for one after every epoch."""
    params = TrainingParams(device="cpu", threads=1, checkpoint_seconds=seconds)
    checkpoint = Slow(tmp_path, "key")
    checkpoint.saved = []
    layer = nn.Linear(3, 1)
    for _ in Loop(params, 0, "line", tmp_path, checkpoint).epochs(60, layer):
        time.sleep(0.02)
    assert 1 <= len(checkpoint.saved) <= most
    assert seconds or len(checkpoint.saved) == 60


def test_a_training_of_a_minute_leaves_a_checkpoint_with_the_shipped_settings() -> None:
    shipped = read_yaml(Path(__file__).resolve().parents[2] / "params.yaml")
    assert shipped["training"]["checkpoint_seconds"] <= 5
