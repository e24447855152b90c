"""The contract of a method, and how a trained one is kept on disk: weights + JSON, no pickle."""

import importlib
import json
import platform
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from blemish.data.images import Framing
from blemish.errors import UserError
from blemish.files import write_json
from blemish.progress import progress
from blemish.training import Loop
from blemish.unit import TrainingUnit

FORMAT = 1
BATCH = 16


class Method(nn.Module, ABC):
    """A detector for one unit.

    A subclass sets `name`, takes its own `Params` and a seed, says in `framing` how it wants its
    images, and keeps in its state dict all it learnt (frozen backbones are named, not stored).
    """

    name: ClassVar[str]
    framing: Framing

    def __init__(self, params: Any, seed: int) -> None:
        super().__init__()
        self.params = params
        self.seed = seed

    @abstractmethod
    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Learn from a unit's training normals and its synthetic defects."""

    @abstractmethod
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, 3, size, size) -> anomaly maps (B, h, w) float32, image scores (B,) float64.

        Deterministic, and each image's result is its own: it sees no other test image.
        """

    def facts(self) -> dict[str, Any]:
        """JSON-able facts to keep with the model, such as the digest of a frozen backbone."""
        return {}


def create(name: str, params: Any, seed: int) -> Method:
    """A new, untrained method."""
    method: type[Method] = importlib.import_module(f"blemish.methods.{name}.method").METHOD
    return method(params, seed)


@torch.inference_mode()
def score_all(method: Method, images: Tensor, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, h, w) float32 and scores (N,) float64 of uint8 images (N, 3, size, size)."""
    method.eval()
    device = next(method.parameters()).device
    size = method.framing.size
    maps, scores = [np.empty((0, size, size), np.float32)], [np.empty(0)]
    batches = images.split(BATCH) if len(images) else ()
    for batch in progress(batches, title, len(batches), "batch"):
        batch_maps, batch_scores = method.score(batch.to(device))
        maps.append(batch_maps.cpu().numpy())
        scores.append(batch_scores.cpu().numpy())
    return np.concatenate(maps), np.concatenate(scores)


def save(method: Method, folder: Path, unit: str, normal_scores: np.ndarray) -> None:
    """Write `model.safetensors` and `model.json`.

    normal_scores: image scores of the validation normals, from which a threshold for any
    false-alarm rate follows.
    """
    state = {key: value.contiguous().cpu() for key, value in method.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    write_json(
        folder / "model.json",
        {
            "format": FORMAT,
            "method": method.name,
            "unit": unit,
            "seed": method.seed,
            "params": method.params.model_dump(),
            "preprocessing": {"size": method.framing.size, "resize": method.framing.resize},
            "facts": method.facts(),
            "validation": {"normal_scores": sorted(float(score) for score in normal_scores)},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        },
    )


def load(folder: Path, device: torch.device) -> tuple[Method, dict[str, Any]]:
    """A trained method and its `model.json`.

    Model files are hostile input: nothing is unpickled, the parameters are validated, tensors
    must fit. Raises UserError naming the file and what is wrong.
    """
    record = _read_record(folder / "model.json")
    params_module = importlib.import_module(f"blemish.methods.{record['method']}.params")
    try:
        params = params_module.Params.model_validate(record["params"])
        method = create(record["method"], params, int(record["seed"]))
        method.load_state_dict(load_file(folder / "model.safetensors"))
    except FileNotFoundError:
        raise UserError(f"{folder}/model.safetensors is missing: train the model again") from None
    except (ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{folder}: not a model of this version ({reason}): train it again"
        ) from None
    stored, found = record["facts"], method.facts()
    if stored.get("backbone_digest") != found.get("backbone_digest"):
        raise UserError(
            f"{folder}/model.json: trained on other backbone weights than are installed"
        )
    return method.to(device).eval(), record


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT or not str(record["method"]).isidentifier():
            raise ValueError("an unknown format")
        importlib.import_module(f"blemish.methods.{record['method']}.params")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the train stage of this model") from None
    except (ValueError, KeyError, TypeError, ModuleNotFoundError) as error:
        raise UserError(f"{path}: not a model of Blemish ({error}): train it again") from None
    return record
