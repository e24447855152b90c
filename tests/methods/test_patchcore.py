"""PatchCore as a method: what its bank holds, its projection, and what it says of itself."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams
from blemish.methods.checkpoint import CHECKPOINTS, Checkpoint, Moment
from blemish.methods.loop import Loop
from blemish.methods.patchcore import plain
from blemish.methods.patchcore.detector import PatchCore
from blemish.methods.patchcore.params import Params
from blemish.methods.saved import load
from blemish.methods.trainer import trainer_of
from blemish.nn.patches import PatchEmbedding
from stages import evaluate, train
from tests.methods.tiny import TINY, pictures, trained
from tests.models import new
from tests.units import (
    NAME,
    PARAMS,
    bytes_of,
    evaluate_model,
    params_folder,
    run_stage,
    tiny_unit,
    train_model,
)

SECTION = TINY["patchcore"].params
CPU = TrainingParams(device="cpu", threads=1)
CELLS = 8 * 8  # of an image of 64 pixels at stride 8


def loop(seed: int = 0) -> Loop:
    return Loop(CPU, seed, "tiny")


def untrained(**changes: object) -> PatchCore:
    method = new("patchcore", Params(**SECTION | changes))
    assert isinstance(method, PatchCore)
    return method


def test_the_bank_holds_the_features_of_the_cells_it_names() -> None:
    found, _ = load(trained("patchcore"), torch.device("cpu"))
    assert isinstance(found, PatchCore)
    images = tiny_unit().open().normals(found.framing)
    assert len(found.bank) == -(-len(images) * CELLS // 10)
    assert len(set(found.cells.tolist())) == len(found.cells)
    features = torch.cat([found.embed(image[None]) for image in images]).flatten(0, 2)
    assert torch.allclose(found.bank, features[found.cells], atol=1e-5)


def test_a_smaller_coreset_is_the_beginning_of_a_larger_one(tmp_path) -> None:
    small = train_model(tiny_unit(), "patchcore", tmp_path, SECTION | {"coreset": 0.05})
    small_state = load_file(small / "model.safetensors")
    state = load_file(trained("patchcore") / "model.safetensors")
    count = len(small_state["cells"])
    assert 0 < count < len(state["cells"])
    assert torch.equal(small_state["cells"], state["cells"][:count])
    assert torch.equal(small_state["bank"], state["bank"][:count])


def test_its_bank_covers_better_with_every_step() -> None:
    method, frame = untrained(), loop()
    trainer_of(method).fit(tiny_unit().open(), frame)
    radii = [row["coverage_radius"] for row in frame.curves]
    assert len(radii) == 20
    assert radii == sorted(radii, reverse=True)
    assert frame.curves[-1]["patches"] == len(method.bank)
    assert method.facts()["bank"] == len(method.bank)


def test_a_projection_keeps_distances_and_a_needless_one_is_left_out() -> None:
    images = tiny_unit().open().normals(untrained().framing)
    method = untrained(pretrain_dim=360, target_dim=360, projection=256)
    generator = torch.Generator().manual_seed(0)
    features = torch.cat(
        [one for _, one in trainer_of(method).embedded(images, loop(), "features")]
    )
    points = trainer_of(method).project(images, generator, loop())
    assert points.shape == (len(images) * CELLS, 256)
    exact, projected = torch.pdist(features[::9]), torch.pdist(points[::9])
    assert 0.75 < float((projected / exact).min()) < float((projected / exact).max()) < 1.25
    method = untrained(projection=16)
    features = torch.cat(
        [one for _, one in trainer_of(method).embedded(images, loop(), "features")]
    )
    assert torch.equal(trainer_of(method).project(images, generator, loop()), features)


def test_locally_aware_features_are_means_of_neighbourhoods() -> None:
    generator = torch.Generator().manual_seed(0)
    fine = torch.randn(2, 6, 8, 8, generator=generator, dtype=torch.float64)
    coarse = torch.randn(2, 6, 4, 4, generator=generator, dtype=torch.float64)
    embedding = PatchEmbedding([6, 6], 6, 12, 3, torch.float64)
    expected = plain.patch_features([fine, coarse])
    assert torch.allclose(embedding([fine, coarse]), expected, rtol=0, atol=1e-12)


def test_maps_and_scores_are_those_of_the_plain_form() -> None:
    found, _ = load(trained("patchcore"), torch.device("cpu"))
    assert isinstance(found, PatchCore)
    images, p = pictures("patchcore")[:3], found.params
    with torch.inference_mode():
        maps, scores = found.score(images)
        features = found.embed(images)
    for one, found_map, score in zip(features, maps, scores, strict=True):
        expected = plain.anomaly_map(one, found.bank, p.image_size, p.sigma)
        torch.testing.assert_close(found_map.double(), expected, rtol=1e-5, atol=1e-5)
        wanted = plain.image_score(one.flatten(0, 1), found.bank, p.neighbours)
        assert float(score) == pytest.approx(wanted, rel=1e-12)


class Killed(BaseException):
    """Ends a run between two steps, as a signal does."""


def test_a_killed_selection_goes_on_with_the_same_bytes(monkeypatch) -> None:
    unit = tiny_unit()
    changes = {
        "patchcore": SECTION,
        "training": PARAMS["training"] | {"checkpoint_seconds": 0},
    }
    folders = [str(path) for path in unit.inputs]
    save = Checkpoint.save

    def save_and_stop(checkpoint: Checkpoint, moment: Moment) -> None:
        save(checkpoint, moment)
        if moment.epoch == 7:
            raise Killed

    with params_folder(changes):
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", save_and_stop)
            with pytest.raises(Killed):
                train.main(NAME, "patchcore", "0", *folders, "resumed")
        assert list((CHECKPOINTS / NAME / "patchcore-0").iterdir())
        train.main(NAME, "patchcore", "0", *folders, "resumed")
        assert bytes_of(Path("resumed")) == bytes_of(trained("patchcore"))


def test_protocol_paper_needs_no_epochs_of_it(tmp_path) -> None:
    evaluation = PARAMS["evaluation"] | {"protocol": "paper"}
    changes = {"methods": ["patchcore"], "patchcore": SECTION, "evaluation": evaluation}
    unit, out = tiny_unit(), tmp_path / "results"
    folders = (trained("patchcore"), unit.prepared, unit.synthetic)
    run_stage(evaluate.main, changes, *folders, out)
    honest = evaluate_model(unit, trained("patchcore"), tmp_path / "honest")
    numbers = [
        json.loads((one / "metrics.json").read_text(encoding="utf-8")) for one in (out, honest)
    ]
    assert numbers[0]["metrics"] == numbers[1]["metrics"]


def test_an_empty_bank_is_refused(tmp_path) -> None:
    model = train_model(tiny_unit(), "patchcore", tmp_path / "model", SECTION)
    state = load_file(model / "model.safetensors")
    emptied = {name: one[:0].clone() for name, one in state.items()}
    save_file(emptied, model / "model.safetensors")
    with pytest.raises(UserError, match=r"its memory bank is empty.*train it again"):
        load(model, torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": [16, 8]}, r"`patchcore`: `strides` must ascend, finest first: \[16, 8\]"),
        ({"neighbours": 1}, r"`patchcore.neighbours` is 1: input should be greater than"),
        ({"coreset": 0.0}, r"`patchcore.coreset` is 0.0: input should be greater than 0"),
        ({"coreset": 1.5}, r"`patchcore.coreset` is 1.5: input should be less than or equal to 1"),
    ],
)
def test_impossible_settings_are_named(tmp_path, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_model(tiny_unit(), "patchcore", tmp_path / "model", SECTION | change)
