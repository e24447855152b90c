"""Every registered method: saving and loading, and files that are damaged."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, load_params
from blemish.methods.loop import Loop
from blemish.methods.saved import load, save
from blemish.methods.scoring import Scored
from blemish.methods.trainer import trainer_of
from tests.methods.tiny import CPU, every_method, pictures, tiny, trained
from tests.models import new
from tests.scoring import score_all
from tests.units import NAME, params_folder, tiny_unit


def scored(anomaly_map: list[list[float]], score: float) -> Scored:
    return Scored(np.array(anomaly_map, np.float32), np.array([score]))


@every_method
def test_what_is_loaded_scores_like_what_was_trained(method: str, tmp_path) -> None:
    unit, section = tiny_unit().open(), tiny(method).params
    with params_folder({method: section}):
        fresh = new(method, load_params().method(method))
    trainer_of(fresh).fit(unit, Loop(TrainingParams(device="cpu", threads=1), 0, "tiny"))
    images = pictures(method)
    maps, scores = score_all(fresh, images)
    normals = [scored([[0, 1, 2, 9]], 0.5), scored([[1, 1, 3, 3]], 0.25), scored([[0, 0.5]], 0.75)]
    save(fresh, tmp_path, NAME, normals, framing_reason="asked for")
    loaded, record = load(tmp_path, CPU)
    loaded_maps, loaded_scores = score_all(loaded, images)
    assert maps.tobytes() == loaded_maps.tobytes()
    assert scores.tobytes() == loaded_scores.tobytes()
    assert (record.method, record.unit, record.seed) == (method, NAME, 0)
    assert (record.framing, record.framing_reason) == (fresh.framing, "asked for")
    assert record.validation.normal_scores == [0.25, 0.5, 0.75]
    assert record.validation.map_maxima == [0.5, 3.0, 9.0]
    assert record.validation.map_level == 1.5  # the median of 1.5, 2 and 0.25
    assert record.validation.map_threshold(0.34) == 3.0
    assert record.validation.map_threshold(0.33) == 9.0
    # The stage trained the same model.
    name = "model.safetensors"
    assert (tmp_path / name).read_bytes() == (trained(method) / name).read_bytes()


@every_method
def test_a_score_that_is_no_number_is_not_saved(method: str, tmp_path) -> None:
    found, _ = load(trained(method), CPU)
    with pytest.raises(UserError, match=f"{method} seed 0: a validation normal scored NaN"):
        save(found, tmp_path, NAME, [scored([[0.0]], 0.5), scored([[0.0]], np.nan)])
    with pytest.raises(UserError, match=f"{method} seed 0: a validation normal scored NaN"):
        save(found, tmp_path, NAME, [scored([[0.0, np.inf]], 0.5)])
    assert list(tmp_path.iterdir()) == []


def edit(**changes: Any) -> Callable[[Path], None]:
    """Damage by new values in model.json; None removes a key."""

    def change(folder: Path) -> None:
        path = folder / "model.json"
        record = json.loads(path.read_text(encoding="utf-8")) | changes
        kept = {key: value for key, value in record.items() if value is not None}
        path.write_text(json.dumps(kept), encoding="utf-8")

    return change


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def truncate(name: str, keep: float) -> Callable[[Path], object]:
    def cut(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(keep * len(whole))])

    return cut


class Bomb:
    """A pickle that would run code when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (exec, ("raise SystemError('a pickle was loaded')",))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model.json": (
        lambda folder: (folder / "model.json").unlink(),
        "model.json is missing: run",
    ),
    "no tensors": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "model.safetensors is missing: run",
    ),
    "half of model.json": (truncate("model.json", 0.5), "model.json: Invalid JSON"),
    "half of the tensors": (truncate("model.safetensors", 0.5), "model.safetensors: "),
    "no byte of the tensors": (truncate("model.safetensors", 0), "model.safetensors: "),
    "a few bytes of the tensors": (truncate("model.safetensors", 0.01), "model.safetensors: "),
    "model.json is a list": (overwrite("model.json", b"[]"), "model.json: Input should be"),
    "model.json is binary": (overwrite("model.json", b"\xff\xfe\x00"), "model.json: Invalid JSON"),
    "model.json is very deep": (
        overwrite("model.json", b"[" * 100_000),
        "model.json: Invalid JSON",
    ),
    "tensors are a pickle": (
        overwrite("model.safetensors", pickle.dumps(Bomb())),
        "model.safetensors: ",
    ),
    "another format": (edit(format=1), "format: Input should be 2"),
    "unknown method": (edit(method="nope"), "nope"),
    "a path as method": (edit(method="../../evil"), "method"),
    "a module as method": (edit(method="base"), "base"),
    "seed is text": (edit(seed="zero"), "seed"),
    "params of another version": (edit(params={"no_such_key": 1}), "no_such_key"),
    "scores are text": (edit(validation={"normal_scores": ["high"]}), "normal_scores.0"),
    "a score is no number": (edit(validation={"normal_scores": [float("nan")]}), "normal_scores"),
    "a framing of no pixels": (edit(framing={"height": 0}), "framing.height"),
    "an unheard-of framing": (
        edit(framing={"height": 64, "width": 64, "resize": "bend"}),
        "framing.resize",
    ),
    "an unknown key": (edit(more=1), "more"),
} | {
    f"no {key}": (edit(**{key: None}), f"{key}: Field required")
    for key in ("method", "unit", "seed", "params", "framing", "facts", "validation")
}


@pytest.mark.parametrize("damage", DAMAGES)
@every_method
def test_a_damaged_model_is_one_clear_line(method: str, damage: str, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained(method), folder)
    spoil, named = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(UserError) as caught:
        load(folder, CPU)
    message = str(caught.value)
    assert str(folder) in message
    assert named in message
    assert "\n" not in message
    assert len(message) < 500


@every_method
def test_tensors_of_other_shapes_do_not_fit(method: str, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained(method), folder)
    other, _ = load(trained(method), CPU)
    key, value = max(other.state_dict().items(), key=lambda item: item[1].numel())
    tensors = {name: one.clone().contiguous() for name, one in other.state_dict().items()}
    save_file(tensors | {key: value[:-1].clone().contiguous()}, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"size mismatch for {key}"):
        load(folder, CPU)
    tensors.pop(key)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"Missing key.*{key}"):
        load(folder, CPU)


@every_method
def test_other_backbone_weights_are_refused(method: str, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained(method), folder)
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if "backbone_digest" not in record["facts"]:
        pytest.skip(f"{method} relies on no frozen backbone")
    edit(facts=record["facts"] | {"backbone_digest": "0" * 64})(folder)
    with pytest.raises(UserError, match="other backbone weights than are installed") as caught:
        load(folder, CPU)
    assert "\n" not in str(caught.value)


def test_glass_notices_that_real_weights_took_the_place_of_random_ones(tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained("glass"), folder)
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert record["params"]["weights"] == "random"
    edit(params=record["params"] | {"weights": "imagenet"})(folder)
    with pytest.raises(UserError, match="other backbone weights than are installed"):
        load(folder, CPU)
