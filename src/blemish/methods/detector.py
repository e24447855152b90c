"""The contract of a method, and how a trained one is kept on disk: weights + JSON, no pickle."""

import importlib
import platform
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from blemish.core.errors import UserError
from blemish.core.files import write_json
from blemish.core.params import Section, Seed
from blemish.core.progress import progress
from blemish.images.framing import Framing
from blemish.methods.author_protocol import Practice
from blemish.methods.loop import Loop
from blemish.methods.training_data import TrainingUnit
from blemish.methods.validation import Validation

BATCH = 16
# What an image is scored with: K anomaly maps (K, h, w) float32 and K scores (K,) float64.
Components = tuple[NDArray[np.float32], NDArray[np.float64]]


class Record(Section):
    """`model.json`: all that a trained model is besides its tensors."""

    format: Literal[1] = 1
    method: Annotated[str, Field(pattern=r"^[a-z]\w*$")]
    unit: str
    seed: Seed
    params: dict[str, Any]
    preprocessing: dict[str, Any]
    facts: dict[str, Any]
    validation: Validation
    versions: dict[str, str]


class Method(nn.Module, ABC):
    """A detector for one unit.

    A subclass sets `name`, takes its own `Params` and a seed, says in `framing` how it wants its
    images, and keeps in its state dict all it learnt (frozen backbones are named, not stored).
    One that learns from synthetic defects has `kinds: KindParams | None` among its parameters, its
    published kinds as the default, and trains on `unit.with_kinds(params.kinds)`: methods side by
    side in one grid each get their own defects, None gives them the unit's shared mix.
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

    def views(self, images: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Pictures that explain a result: uint8 (B, 3, size, size) -> uint8 (B, 3, h, w) each.

        By caption, a few words such as "warped image", in the order to be shown; h and w may
        differ from picture to picture. Each image's pictures are its own, as in `score`.
        """
        return {}

    def facts(self) -> dict[str, Any]:
        """JSON-able facts to keep with the model, such as the digest of a frozen backbone."""
        return {}

    def practice(self, unit: str) -> Practice | None:  # noqa: ARG002
        """What the authors do with a unit's test set (protocol `paper`); None: look at it once."""
        return None

    def score_published(self, images: Iterable[Tensor]) -> Iterator[Components]:
        """Each image (3, size, size) of a whole test set in turn, scored as the authors do.

        The components are what `practice` weighs; an image's may depend on the images around it.
        Leaves the model as it was. By default the one component is `score`.
        """
        for one_map, score in score_each(self, images):
            yield one_map[None], np.array([score])


def create(name: str, params: Any, seed: int) -> Method:
    """A new, untrained method."""
    method: type[Method] = importlib.import_module(f"blemish.methods.{name}.method").METHOD
    return method(params, seed)


def score_all(method: Method, images: Tensor, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, size, size) float32 and scores (N,) float64 of uint8 images (N, 3, size, size).

    Raises ValueError for images of another size or type.
    """
    size = method.framing.size
    if images.shape[1:] != (3, size, size) or images.dtype != torch.uint8:
        raise ValueError(
            f"images are {tuple(images.shape)} {images.dtype}, but this {method.name} takes "
            f"(N, 3, {size}, {size}) uint8: frame them with its `framing.to_model`"
        )
    maps, scores = np.empty((len(images), size, size), np.float32), np.empty(len(images))
    found = progress(score_each(method, images), title, len(images), "image")
    for number, (one_map, score) in enumerate(found):
        maps[number], scores[number] = one_map, score
    return maps, scores


def score_each(
    method: Method, images: Iterable[Tensor]
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """As `score_all`, one image (3, size, size) after the other: all maps may exceed memory."""
    method.eval()
    device = next(method.parameters()).device
    # One at a time: convolutions choose their algorithm by the batch's size, and the last bits of
    # an image's score must not depend on its company.
    for image in images:
        with torch.inference_mode():
            one_map, score = method.score(image[None].to(device))
        yield one_map[0].cpu().numpy(), float(score[0])


def views_of(method: Method, image: Tensor) -> dict[str, NDArray[np.uint8]]:
    """The pictures (h, w, 3) that explain the result of one image, uint8 (3, size, size).

    Raises ValueError where a method's view has not the promised form.
    """
    method.eval()
    with torch.inference_mode():
        found = method.views(image[None].to(next(method.parameters()).device))
    for caption, view in found.items():
        if view.dtype != torch.uint8 or view.ndim != 4 or view.shape[:2] != (1, 3):
            raise ValueError(
                f"{method.name}: its view {caption!r} is {tuple(view.shape)} {view.dtype}, not "
                "(1, 3, h, w) uint8"
            )
    return {caption: view[0].permute(1, 2, 0).cpu().numpy() for caption, view in found.items()}


def save(
    method: Method, folder: Path, unit: str, maps: NDArray[np.float32], scores: NDArray[np.float64]
) -> None:
    """Write `model.safetensors` and `model.json`.

    `maps` (N, h, w) and `scores` (N,) are the validation normals'. Raises UserError if one is not
    finite.
    """
    if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
        raise UserError(
            f"{unit} {method.name} seed {method.seed}: a validation normal scored NaN or infinity: "
            "lower the learning rate"
        )
    state = {key: value.contiguous().cpu() for key, value in method.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    record = Record(
        method=method.name,
        unit=unit,
        seed=method.seed,
        params=method.params.model_dump(),
        preprocessing=asdict(method.framing),
        facts=method.facts(),
        validation=Validation.of(maps, scores),
        versions={"python": platform.python_version(), "torch": torch.__version__},
    )
    write_json(folder / "model.json", record.model_dump())


def load_state(method: Method, file: Path) -> None:
    """Put an epoch's weights into a method. Raises UserError if they do not fit."""
    try:
        method.load_state_dict(load_file(file))
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{file}: not weights of this model ({_reason(error)}): train it again"
        ) from None
    method.eval()


def load(folder: Path, device: torch.device) -> tuple[Method, Record]:
    """A trained method and its `model.json`.

    Model files are hostile input: nothing is unpickled, all values are validated, tensors must
    fit. Raises UserError naming the file and what is wrong.
    """
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing: run the train stage of this model")
    try:
        record = Record.model_validate_json((folder / "model.json").read_bytes())
        module = importlib.import_module(f"blemish.methods.{record.method}.params")
        params = module.Params.model_validate(record.params)
        method = create(record.method, params, record.seed)
        method.load_state_dict(load_file(folder / "model.safetensors"))
    except (ValueError, ModuleNotFoundError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{folder}: not a model of this version ({_reason(error)}): train it again"
        ) from None
    if record.facts.get("backbone_digest") != method.facts().get("backbone_digest"):
        raise UserError(
            f"{folder}/model.json: trained on other backbone weights than are installed: "
            "train it again, or install those weights"
        )
    return method.to(device).eval(), record


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        where = ".".join(["model.json", *map(str, fault["loc"])])
        return f"{where}: {fault['msg']}"
    reason = " ".join(str(error).split())[:200]
    return f"model.safetensors: {reason}" if isinstance(error, SafetensorError) else reason
