"""Detectors as modules of one kind of graph: batches of any length, no loop over images."""

import torch
from torch import Tensor, nn

from blemish.methods.detector import AnyDetector, Measured, where_judged
from blemish.methods.dsarad.detector import Dsarad
from blemish.methods.patchcore.detector import PatchCore, Patches
from blemish.methods.patchcore.scoring import distances, nearest
from blemish.nn.smoothing import anomaly_map


class Scores(nn.Module):
    """uint8 (N, 3, h, w) and bool `judged` (N, h, w), which pixels count → maps (N, h, w) float32
    and image scores (N,) float64, as `score_picture` has them."""

    def __init__(self, detector: AnyDetector) -> None:
        super().__init__()
        self.detector = _in_batches(detector)

    def forward(self, pictures: Tensor, judged: Tensor) -> tuple[Tensor, Tensor]:
        measured = self.detector.measure(pictures)
        peaks = self.detector.peaks(measured.cells, judged)
        return measured.maps, self.detector.combine(peaks[:, None])


class WindowScores(nn.Module):
    """The W windows of one image, uint8 (W, 3, h, w), and bool `judged` (Z, W, h, w), which pixels
    count in each of Z zones → maps (W, h, w) float32 and the scores of the zones (Z,) float64.

    zones: how many. A window with nothing of a zone adds nothing to its score.
    """

    def __init__(self, detector: AnyDetector, zones: int) -> None:
        super().__init__()
        self.detector, self.zones = _in_batches(detector), zones

    def forward(self, pictures: Tensor, judged: Tensor) -> tuple[Tensor, Tensor]:
        measured = self.detector.measure(pictures)
        peaks = [self.detector.peaks(measured.cells, judged[at]) for at in range(self.zones)]
        return measured.maps, torch.cat([self.detector.combine(each[None]) for each in peaks])


class PatchCoreInBatches(nn.Module):
    """PatchCore, which itself goes through images one by one."""

    def __init__(self, detector: PatchCore) -> None:
        super().__init__()
        self.detector = detector

    def measure(self, pictures: Tensor) -> Measured:
        detector = self.detector
        features = detector.embed(pictures)
        found = nearest(features.flatten(0, 2), detector.bank)
        distance, rows = (part.view(features.shape[:3]) for part in found)
        size = (pictures.shape[2], pictures.shape[3])
        maps = anomaly_map(distance, size, detector.params.sigma).float()
        return Measured(maps, Patches(features, distance, rows))

    def peaks(self, cells: Patches, judged: Tensor) -> Tensor:
        counted = where_judged(cells.distance, judged).flatten(1)
        patch = counted.argmax(dim=1, keepdim=True)
        farthest = counted.gather(1, patch)[:, 0]
        row = self.detector.bank[cells.rows.flatten(1).gather(1, patch)[:, 0]]
        chosen = patch[..., None].expand(-1, -1, cells.features.shape[-1])
        query = cells.features.flatten(1, 2).gather(1, chosen)[:, 0]
        return torch.stack([farthest, self._less_where_alone(query, row, farthest)], dim=1)

    def combine(self, peaks: Tensor) -> Tensor:
        return self.detector.combine(peaks)

    def _less_where_alone(self, query: Tensor, row: Tensor, distance: Tensor) -> Tensor:
        """Equation 7, see `image_score`, of queries (N, C) and the rows of the bank nearest to
        each."""
        bank, mean = self.detector.bank, self.detector.bank.mean(dim=0)
        centred = bank - mean
        near = centred.square().sum(dim=1) - 2 * (row - mean) @ centred.T
        count = min(self.detector.params.neighbours, len(bank))
        neighbours = near.topk(count, largest=False).indices
        around = distances(query[:, None], bank[neighbours])
        return (1 - torch.exp(distance - around.logsumexp(dim=1))) * distance


def _in_batches(detector: AnyDetector) -> AnyDetector | PatchCoreInBatches:
    if isinstance(detector, Dsarad):
        detector.pixels.settle()
    return PatchCoreInBatches(detector) if isinstance(detector, PatchCore) else detector
