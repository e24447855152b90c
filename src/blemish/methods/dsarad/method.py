"""DSARAD: distilled reconstruction with attention and a segmenter, after `docs/spec/dsarad.md`.

A teacher learns to reconstruct normal images, a student to turn images with synthetic defects into
the normal ones and to have the teacher's features on the way; a segmenter learns from the
student's picture and its input where the defects are. The teacher is used in training alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.images.framing import Framing
from blemish.methods.author_protocol import Practice
from blemish.methods.detector import Method
from blemish.methods.dsarad.draws import Draws
from blemish.methods.dsarad.losses import distillation_loss, ssim_loss
from blemish.methods.dsarad.networks import Reconstruction, Segmenter
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.pixels import Pixels
from blemish.methods.glass.losses import focal
from blemish.methods.loop import Loop
from blemish.methods.training_data import TrainingUnit


class Dsarad(Method):
    """One model per unit: a student (§3.1) and a segmenter (§3.3)."""

    name = "dsarad"

    def __init__(self, params: Params, seed: int) -> None:
        super().__init__(params, seed)
        self.framing = Framing(params.image_size, params.resize)
        self.pixels = Pixels(params.flat_field, params.image_size)
        generator = torch.Generator().manual_seed(seed)
        self.student = Reconstruction(params.width, generator)
        self.segmenter = Segmenter(params.segmenter_width, generator)

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Two stages (§5): student and teacher in turn, then the student alone."""
        p: Params = self.params
        unit = unit.with_kinds(p.kinds)
        images = unit.normals(self.framing)
        self.pixels.measure(images)
        draws = Draws(unit, images, unit.foregrounds(self.framing), p, self.pixels, loop)
        teacher = Reconstruction(p.width, loop.generator(2)).to(self.dtype)
        for network in (self, teacher):  # the teacher's BatchNorm uses the batch's statistics too
            network.to(loop.device).train()
        learner = torch.optim.Adam(self.parameters())
        instructor = torch.optim.Adam(teacher.parameters())
        both = (self, teacher, learner, instructor)

        for epoch in loop.epochs(p.first_epochs, *both, phase="teacher and student"):
            for number in range(epoch * p.passes, (epoch + 1) * p.passes):
                rate = p.rate(number, 2 * p.first_epochs * p.passes)
                self.teach(teacher, instructor, rate, draws, number)
            self.learn(teacher, learner, p.rate(epoch, p.epochs), draws, epoch)
        for epoch in loop.epochs(p.epochs - p.first_epochs, *both[:3], phase="student"):
            number = p.first_epochs + epoch
            self.learn(teacher, learner, p.rate(number, p.epochs), draws, number)
        if p.precise_statistics:
            self.measure_statistics(draws)

    @torch.no_grad()
    def measure_statistics(self, draws: Draws) -> None:
        """BatchNorm's statistics as the mean over one more epoch's batches (ours).

        What training leaves is a running mean over about ten small batches, seen by weights that
        still moved (Wu & Johnson, *Rethinking "Batch" in BatchNorm*, 2021, §3).
        """
        norms = [one for one in self.modules() if isinstance(one, nn.BatchNorm2d)]
        usual = [one.momentum for one in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
        for _, corrupted, _ in draws.synthetic(self.params.epochs, self.dtype):
            reconstruction, _ = self.student(corrupted)
            self.segmenter(torch.cat([reconstruction, corrupted], dim=1))
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum

    def teach(
        self,
        teacher: Reconstruction,
        optimizer: torch.optim.Optimizer,
        rate: float,
        draws: Draws,
        number: int,
    ) -> None:
        """One pass of the teacher over the clean images."""
        # Orders and rotations of its own: the student's passes count from 0.
        for images in draws.clean(self.params.epochs + number, self.dtype):
            with draws.loop.autocast():
                reconstruction, _ = teacher(images)
            losses = reconstruction_losses(reconstruction.to(images.dtype), images)
            descend(losses, optimizer, rate)

    def learn(
        self,
        teacher: Reconstruction,
        optimizer: torch.optim.Optimizer,
        rate: float,
        draws: Draws,
        number: int,
    ) -> None:
        """One epoch of student and segmenter, number `number` of all."""
        loop = draws.loop
        for images, corrupted, masks in draws.synthetic(number, self.dtype):
            with loop.autocast():
                losses = self.losses(teacher, images, corrupted, masks)
            descend(losses, optimizer, rate)
            loop.log(**losses)
        loop.keep(self, number)

    def losses(
        self, teacher: Reconstruction, images: Tensor, corrupted: Tensor, masks: Tensor
    ) -> dict[str, Tensor]:
        """The four terms of one step (§4), all of weight 1.

        images, corrupted: (B, 3, H, W) as the networks see them; masks: bool (B, H, W). Of the
        teacher only the encoder's first four blocks are computed, and no gradient.
        """
        with torch.no_grad():
            targets = teacher.features(images)
        reconstruction, features = self.student(corrupted)
        logits = self.segmenter(torch.cat([reconstruction, corrupted], dim=1))
        # Out of bfloat16, where the networks computed in it: losses are sums over many pixels.
        with torch.autocast(images.device.type, enabled=False):
            whole = [one.to(images.dtype) for one in (reconstruction, logits, *features, *targets)]
            levels = len(features)
            return reconstruction_losses(whole[0], images) | {
                "loss_focal": focal(anomaly_probability(whole[1]), masks).mean(),
                "loss_distillation": distillation_loss(whole[2:-levels], whole[-levels:]),
            }

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probability maps, not smoothed, and the image score of §6, averaged over the boxes."""
        corrupted = self.pixels(images.to(self.dtype) / 255)
        reconstruction, _ = self.student(corrupted)
        logits = self.segmenter(torch.cat([reconstruction, corrupted], dim=1))
        # In float64 confident pixels stay apart, where float32 rounds them all to one.
        probability = anomaly_probability(logits.double())
        scores = [box_score(probability, box) for box in self.params.score_boxes]
        return probability.float(), torch.stack(scores).mean(dim=0)

    def practice(self, unit: str) -> Practice:  # noqa: ARG002
        """Which of the kept epochs a number comes from differs by experiment: inferred (§9)."""
        return Practice(
            note="best kept epoch on test, masks cut off to whole pixels",
            chosen_by=("image_auroc", "pixel_auroc"),
            mask_above=254,  # §2.2
        )

    def views(self, images: Tensor) -> dict[str, Tensor]:
        """The student's picture: what the image would be without a defect."""
        pictures = images.to(self.dtype) / 255
        seen, _ = self.student(self.pixels(pictures))
        reconstruction = self.pixels.inverse(seen, pictures).clamp(0, 1)
        return {"reconstruction": (reconstruction * 255).round().to(torch.uint8)}

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights, in which images are given to the networks."""
        return self.student.out.weight.dtype


def reconstruction_losses(reconstruction: Tensor, images: Tensor) -> dict[str, Tensor]:
    """Squared error and SSIM (§4), all there is to the teacher's objective."""
    return {
        "loss_mse": F.mse_loss(reconstruction, images),
        "loss_ssim": ssim_loss(reconstruction, images),
    }


def descend(losses: dict[str, Tensor], optimizer: torch.optim.Optimizer, rate: float) -> None:
    """One step down the sum of the losses."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


def anomaly_probability(logits: Tensor) -> Tensor:
    """Channel 1 of the softmax over two channels: (B, 2, H, W) → (B, H, W)."""
    return torch.sigmoid(logits[:, 1] - logits[:, 0])


def box_score(probability: Tensor, box: int) -> Tensor:
    """The largest mean over a box×box square (§6): (B, H, W) → (B,).

    A square that leaves the image is divided by its whole area, so borders count less.
    """
    means = F.avg_pool2d(probability[:, None], box, stride=1, padding=box // 2)
    return means.amax(dim=(1, 2, 3))


METHOD = Dsarad
