"""ESAD's training, after `docs/spec/esad.md` §§3–7."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.core.progress import progress
from blemish.methods.detector import BATCH
from blemish.methods.esad.detector import Esad, symmetric
from blemish.methods.esad.masks import draw_parts, removed_pixels
from blemish.methods.esad.selection import Best
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.trainer import Trainer
from blemish.methods.training_data import TrainingUnit


class EsadTrainer(Trainer[Esad]):
    """Fits both U-Nets together."""

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Train both U-Nets (§§3–7)."""
        p = self.detector.params
        self.detector.to(loop.device)
        images = unit.normals(self.detector.framing, most=p.windows, seed=loop.seed)
        cached = self.embed_all(images, loop)
        held_out = unit.normals(self.detector.framing, "val") if p.select == "validation" else None
        optimizer, drawing = self.optimizer(), loop.generator(2)
        networks = nn.ModuleList([self.detector.inpainter, self.detector.reconstructor])
        best, most = Best(networks), p.images_per_epoch or len(images)
        for epoch in loop.epochs(p.epochs, self.detector, optimizer, drawing, best):
            self.detector.train()
            for rows in loop.batches(len(images), p.batch_size, most, epoch):
                x = symmetric(images[rows].to(loop.device))
                features = (
                    self.detector.backbone.embed(x)
                    if cached is None
                    else cached[rows].to(loop.device)
                )
                with loop.autocast():
                    losses = self.losses(x, features, self.draw_masks(drawing, loop.device))
                optimizer.zero_grad(set_to_none=True)
                sum(losses.values(), torch.zeros((), device=loop.device)).backward()
                optimizer.step()
                loop.log(**losses)
            if held_out is not None:
                best.offer(networks, self.loss_on(held_out))
            loop.save_epoch(self.detector, epoch)
        if held_out is not None:
            networks.load_state_dict(best.networks.state_dict())
        if self.detector.usual is not None:
            self.detector.usual.learn(self.usual_differences(images, loop))

    def draw_masks(self, generator: torch.Generator, device: torch.device) -> Tensor:
        """New masks for a step, of a cell size drawn from the list: bool (3, 1, H, W)."""
        choice = int(torch.randint(len(self.detector.params.cells), (), generator=generator))
        cell = self.detector.params.cells[choice]
        parts = draw_parts(self.detector.framing.window, cell, generator)
        return removed_pixels(parts.to(device), cell)

    def losses(self, x: Tensor, features: Tensor, removed: Tensor) -> dict[str, Tensor]:
        """T(x, rec) and T(x, pre) with T(a, b) = 20·MSE(a, b) + 10·MSE(N(a), N(b)) (§6).

        x: (B, 3, H, W) in [-1, 1]; features: N(x); removed: bool (3, 1, H, W).
        The inpainting is not detached: G's loss trains P as well.
        """
        p = self.detector.params
        made = self.detector.reconstruct(x, removed, leak=0.0)
        # N is in evaluation mode, so that both can go through it together.
        levels = self.detector.backbone.features(torch.cat(made)).to(features.dtype).chunk(2)
        losses = [
            p.pixel_weight * F.mse_loss(picture, x) + p.feature_weight * F.mse_loss(level, features)
            for picture, level in zip(made, levels, strict=True)
        ]
        return {"loss_reconstruction": losses[0], "loss_inpainting": losses[1]}

    @torch.no_grad()
    def loss_on(self, images: Normals) -> Tensor:
        """The loss of uint8 images (N, 3, H, W) in evaluation mode, by the masks of scoring."""
        self.detector.eval()
        cell = self.detector.params.cells[0]
        removed = removed_pixels(self.detector.get_buffer(f"parts_{cell}")[0], cell)
        total = torch.zeros((), dtype=torch.float64, device=removed.device)
        for batch in images.batches(BATCH):
            x = symmetric(batch.to(removed.device))
            total += len(x) * sum(self.losses(x, self.detector.backbone.embed(x), removed).values())
        return total / len(images)

    @torch.no_grad()
    def usual_differences(self, images: Normals, loop: Loop) -> Tensor:
        """Differences of some training normals as scoring makes them, (N, C, h, w) (ours)."""
        self.detector.eval()
        count = min(self.detector.params.usual_from, len(images))
        rows = torch.randperm(len(images), generator=loop.generator(3))[:count]
        shown = progress(images[rows], f"{loop.title} usual differences", count, "image")
        return torch.cat(
            [
                self.detector.channel_differences(symmetric(one[None].to(loop.device)))
                for one in shown
            ]
        )

    def embed_all(self, images: Normals, loop: Loop) -> Tensor | None:
        """N(x) of all normals on the CPU: they are never augmented. None where too large."""
        p = self.detector.params
        cells = math.prod(side // p.stride for side in self.detector.framing.window)
        if 4 * len(images) * self.detector.backbone.channels[0] * cells > p.cache_gib * 2**30:
            return None
        batches, count = images.batches(BATCH), -(-len(images) // BATCH)
        shown = progress(batches, f"{loop.title} features", count, "batch")
        return torch.cat(
            [
                self.detector.backbone.embed(symmetric(batch.to(loop.device))).cpu()
                for batch in shown
            ]
        )

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam on both networks together (§7)."""
        p = self.detector.params
        trained = [*self.detector.inpainter.parameters(), *self.detector.reconstructor.parameters()]
        return torch.optim.Adam(trained, lr=p.learning_rate, betas=(p.beta1, 0.999))


TRAINER = EsadTrainer
