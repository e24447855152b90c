"""The test set as the authors score it, for protocol `paper` (`docs/spec/esad.md` §8, §10)."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.detector import Components

PROTOCOL = AuthorProtocol(
    note="best epoch on test by image AUROC; batch statistics of the test images; one draw of "
    "masks, new for every batch and epoch",
    chosen_by=("image_auroc",),
)


def score_in_batches(
    network: nn.Module,
    score: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]],
    images: Iterable[Tensor],
    batch: int,
    seed: int,
) -> Iterator[Components]:
    """Score images (3, size, size) with `network` in training mode, a batch at a time.

    BatchNorm then sees the test images around each one. Which order the authors' loader has is not
    known; good images before defective ones would make nearly pure batches, so ours is shuffled.
    seed: of the order and the masks. The running statistics are put back at the end.
    """
    held = torch.stack(list(images))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(held), generator=generator)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    device = next(network.parameters()).device
    results: list[Components | None] = [None] * len(held)
    network.train()
    try:
        for rows in order.split(batch):
            with torch.inference_mode():
                maps, scores = score(held[rows].to(device), generator)
            for row, anomaly_map, image_score in zip(rows.tolist(), maps, scores, strict=True):
                results[row] = anomaly_map[None].cpu().numpy(), np.array([float(image_score)])
    finally:
        network.load_state_dict(before)
        network.eval()
    yield from (result for result in results if result is not None)
