"""DSARAD's training, after `docs/spec/dsarad.md` §§4–5.

A teacher learns to reconstruct normal images, the student to turn images with synthetic defects
into the normal ones and to have the teacher's features on the way; the segmenter learns where the
defects are. The teacher is used in training alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.methods.dsarad.detector import Dsarad, anomaly_probability
from blemish.methods.dsarad.draws import Draws
from blemish.methods.dsarad.losses import distillation_loss, ssim_loss
from blemish.methods.dsarad.networks import Reconstruction
from blemish.methods.loop import Loop
from blemish.methods.trainer import Trainer
from blemish.methods.training_data import TrainingUnit
from blemish.nn.losses import focal


class DsaradTrainer(Trainer[Dsarad]):
    """Fits student and segmenter, with the teacher's help."""

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Two stages (§5): student and teacher in turn, then the student alone."""
        p = self.detector.params
        unit = unit.with_kinds(p.kinds)
        images = unit.normals(self.detector.framing, most=p.windows, seed=loop.seed)
        self.detector.pixels.measure(images)
        draws = Draws(
            unit,
            images,
            unit.foregrounds(self.detector.framing, images),
            p,
            self.detector.pixels,
            loop,
        )
        teacher = Reconstruction(p.width, loop.generator(2)).to(self.detector.dtype)
        for network in (
            self.detector,
            teacher,
        ):  # the teacher's BatchNorm uses the batch's statistics too
            network.to(loop.device).train()
        learner = torch.optim.Adam(self.detector.parameters())
        instructor = torch.optim.Adam(teacher.parameters())
        both = (self.detector, teacher, learner, instructor)

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
        still moved (Wu & Johnson, *Rethinking "Batch" in BatchNorm*, 2021, section 3).
        """
        norms = [module for module in self.detector.modules() if isinstance(module, nn.BatchNorm2d)]
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
        for _, corrupted, _ in draws.synthetic(self.detector.params.epochs, self.detector.dtype):
            reconstruction, _ = self.detector.student(corrupted)
            self.detector.segmenter(torch.cat([reconstruction, corrupted], dim=1))
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
        for images in draws.clean(self.detector.params.epochs + number, self.detector.dtype):
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
        for images, corrupted, masks in draws.synthetic(number, self.detector.dtype):
            with loop.autocast():
                losses = self.losses(teacher, images, corrupted, masks)
            descend(losses, optimizer, rate)
            loop.log(**losses)
        loop.save_epoch(self.detector, number)

    def losses(
        self, teacher: Reconstruction, images: Tensor, corrupted: Tensor, masks: Tensor
    ) -> dict[str, Tensor]:
        """The four terms of one step (§4), all of weight 1.

        images, corrupted: (B, 3, H, W) as the networks see them; masks: bool (B, H, W). Of the
        teacher only the encoder's first four blocks are computed, and no gradient.
        """
        with torch.no_grad():
            targets = teacher.features(images)
        reconstruction, features = self.detector.student(corrupted)
        logits = self.detector.segmenter(torch.cat([reconstruction, corrupted], dim=1))
        # Out of bfloat16, where the networks computed in it: losses are sums over many pixels.
        with torch.autocast(images.device.type, enabled=False):
            whole = [
                tensor.to(images.dtype) for tensor in (reconstruction, logits, *features, *targets)
            ]
            levels = len(features)
            return reconstruction_losses(whole[0], images) | {
                "loss_focal": focal(anomaly_probability(whole[1]), masks).mean(),
                "loss_distillation": distillation_loss(whole[2:-levels], whole[-levels:]),
            }


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


TRAINER = DsaradTrainer
