"""A detector: how a method scores images, and what a trained one is. No training is needed here."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blemish.core.params import Section
from blemish.core.progress import progress
from blemish.images.framing import Framing
from blemish.methods.author_protocol import AuthorProtocol

BATCH = 16
# What an image is scored with: K anomaly maps (K, h, w) float32 and K scores (K,) float64.
Components = tuple[NDArray[np.float32], NDArray[np.float64]]
P = TypeVar("P", bound=Section)


class Detector(nn.Module, ABC, Generic[P]):
    """A detector for one unit.

    A subclass sets `name`, takes its own `Params` and a seed, says in `framing` how it wants its
    images, and keeps in its state dict all it learnt (frozen backbones are named, not stored). How
    it learns is in the `training` module beside it, see `trainer.Trainer`.
    """

    name: ClassVar[str]
    framing: Framing
    params: P

    def __init__(self, params: P, seed: int) -> None:
        super().__init__()
        self.params = params
        self.seed = seed

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

    def author_protocol(self, unit: str) -> AuthorProtocol | None:  # noqa: ARG002
        """What the authors do with a unit's test set (protocol `paper`); None: look at it once."""
        return None

    def score_published(self, images: Iterable[Tensor]) -> Iterator[Components]:
        """Each image (3, size, size) of a whole test set in turn, scored as the authors do.

        The components are what `author_protocol` weighs; an image's may depend on the images
        around it. Leaves the model as it was. By default the one component is `score`.
        """
        for anomaly_map, score in score_each(self, images):
            yield anomaly_map[None], np.array([score])


AnyDetector = Detector[Any]


def create(name: str, params: Section, seed: int) -> AnyDetector:
    """A new, untrained detector of a method."""
    detector: type[AnyDetector] = importlib.import_module(
        f"blemish.methods.{name}.detector"
    ).DETECTOR
    return detector(params, seed)


def score_all(detector: AnyDetector, images: Tensor, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, size, size) float32 and scores (N,) float64 of uint8 images (N, 3, size, size).

    Raises ValueError for images of another size or type.
    """
    size = detector.framing.size
    if images.shape[1:] != (3, size, size) or images.dtype != torch.uint8:
        raise ValueError(
            f"images are {tuple(images.shape)} {images.dtype}, but this {detector.name} takes "
            f"(N, 3, {size}, {size}) uint8: frame them with its `framing.to_model`"
        )
    maps, scores = np.empty((len(images), size, size), np.float32), np.empty(len(images))
    scored = progress(score_each(detector, images), title, len(images), "image")
    for number, (anomaly_map, score) in enumerate(scored):
        maps[number], scores[number] = anomaly_map, score
    return maps, scores


def score_each(
    detector: AnyDetector, images: Iterable[Tensor]
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """As `score_all`, one image (3, size, size) after the other: all maps may exceed memory."""
    detector.eval()
    device = next(detector.parameters()).device
    # One at a time: convolutions choose their algorithm by the batch's size, and the last bits of
    # an image's score must not depend on its company.
    for image in images:
        with torch.inference_mode():
            anomaly_map, score = detector.score(image[None].to(device))
        yield anomaly_map[0].cpu().numpy(), float(score[0])


def views_of(detector: AnyDetector, image: Tensor) -> dict[str, NDArray[np.uint8]]:
    """The pictures (h, w, 3) that explain the result of one image, uint8 (3, size, size).

    Raises ValueError where a method's view has not the promised form.
    """
    detector.eval()
    with torch.inference_mode():
        pictures = detector.views(image[None].to(next(detector.parameters()).device))
    for caption, view in pictures.items():
        if view.dtype != torch.uint8 or view.ndim != 4 or view.shape[:2] != (1, 3):
            raise ValueError(
                f"{detector.name}: its view {caption!r} is {tuple(view.shape)} {view.dtype}, not "
                "(1, 3, h, w) uint8"
            )
    return {caption: view[0].permute(1, 2, 0).cpu().numpy() for caption, view in pictures.items()}
