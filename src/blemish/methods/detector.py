"""A detector: how a method scores images, and what a trained one is. No training is needed here."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from blemish.images.framing import Framing
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.view_params import ViewParams

BATCH = 16
# What an image is scored with: K anomaly maps (K, h, w) float32 and K scores (K,) float64.
Components = tuple[NDArray[np.float32], NDArray[np.float64]]
P = TypeVar("P", bound=ViewParams)


class Measured(NamedTuple):
    """What a network says of images: maps (B, h, w) float32, and cells of a form of its own."""

    maps: Tensor
    cells: Any


class Detector(nn.Module, ABC, Generic[P]):
    """A detector for one unit.

    A subclass sets `name`, takes its own `Params`, a seed and the `framing` of its images, and
    keeps in its state dict all it learnt (frozen backbones are named, not stored). How it learns is
    in the `training` module beside it, see `trainer.Trainer`.

    An image's score comes from its peaks, such as the largest scores of any of its cells: so that
    what is not to be judged can be left out, and an image that is seen through windows has the
    peaks of all of them.
    """

    name: ClassVar[str]
    params: P

    def __init__(self, params: P, seed: int, framing: Framing) -> None:
        super().__init__()
        self.params = params
        self.seed = seed
        self.framing = framing

    @abstractmethod
    def measure(self, images: Tensor) -> Measured:
        """uint8 (B, 3, h, w) -> anomaly maps (B, h, w) float32, and what `peaks` are taken from.

        Deterministic, and each image's result is its own: it sees no other test image.
        """

    def peaks(self, cells: Any, judged: Tensor | None = None) -> Tensor:
        """From `Measured.cells` (B, …, h, w) the K numbers an image that its score is made of,
        (B, K) float64: by default the largest of each channel.

        judged: bool (B, H, W), which pixels count; None: all.
        """
        return (
            where_judged(cells, judged).flatten(-2).amax(dim=-1).view(cells.shape[0], -1).double()
        )

    def combine(self, peaks: Tensor) -> Tensor:
        """The image score (B,) float64 from the peaks (B, W, K) of an image's W windows."""
        return peaks.amax(dim=(1, 2))

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, 3, h, w) as the network sees them at once -> anomaly maps (B, h, w) float32,
        image scores (B,) float64.

        Raises ValueError for images of another size or type.
        """
        height, width = self.framing.window
        if images.shape[1:] != (3, height, width) or images.dtype != torch.uint8:
            raise ValueError(
                f"images are {tuple(images.shape)} {images.dtype}, but this {self.name} takes "
                f"(N, 3, {height}, {width}) uint8: frame them with its `framing.to_model`"
            )
        measured = self.measure(images)
        return measured.maps, self.combine(self.peaks(measured.cells)[:, None])

    def views(self, images: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Pictures that explain a result: uint8 (B, 3, h, w) -> uint8 (B, 3, h', w') each.

        By caption, a few words such as "warped image", in the order to be shown; their
        sizes may differ. Each image's pictures are its own, as in `score`.
        """
        return {}

    def facts(self) -> dict[str, Any]:
        """JSON-able facts to keep with the model, such as the digest of a frozen backbone."""
        return {}

    def author_protocol(self, unit: str) -> AuthorProtocol | None:  # noqa: ARG002
        """What the authors do with a unit's test set (protocol `paper`); None: look at it once."""
        return None

    def score_published(self, images: Iterable[Tensor]) -> Iterator[Components]:
        """Each image (3, h, w) of a whole test set in turn, scored as the authors do.

        The components are what `author_protocol` weighs; an image's may depend on the images
        around it. Leaves the model as it was. By default the one component is `score`.
        """
        self.eval()
        device = next(self.parameters()).device
        for image in images:
            with torch.inference_mode():
                anomaly_map, score = self.score(image[None].to(device))
            yield anomaly_map.cpu().numpy(), score.cpu().numpy()


AnyDetector = Detector[Any]


def create(name: str, params: ViewParams, seed: int, framing: Framing) -> AnyDetector:
    """A new, untrained detector of a method."""
    detector: type[AnyDetector] = importlib.import_module(
        f"blemish.methods.{name}.detector"
    ).DETECTOR
    return detector(params, seed, framing)


def where_judged(cells: Tensor, judged: Tensor | None) -> Tensor:
    """Cells (B, …, h, w), −∞ where they do not count.

    A cell counts where half of its pixels or more do; where that leaves an image none, any pixel
    does, so that an image of which something is judged has a score.
    """
    if judged is None:
        return cells
    size = (cells.shape[-2], cells.shape[-1])
    share = F.adaptive_avg_pool2d(judged[:, None].float(), size)[:, 0]
    counted = share >= 0.5
    none = ~counted.flatten(1).any(dim=1)
    counted |= none[:, None, None] & (share > 0)
    between = cells.ndim - counted.ndim
    return cells.masked_fill(
        ~counted.view(cells.shape[0], *[1] * between, *counted.shape[1:]), -torch.inf
    )
