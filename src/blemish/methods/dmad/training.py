"""DMAD's training, after `docs/spec/dmad.md` §4."""

import sys

import torch
from torch import Tensor

from blemish.methods.detector import BATCH
from blemish.methods.dmad.bottleneck import Quantiser
from blemish.methods.dmad.detector import Dmad
from blemish.methods.dmad.fields import warp_back
from blemish.methods.dmad.patch_memory import PatchMemory
from blemish.methods.dmad.scoring import distillation_loss, offset_loss
from blemish.methods.glass.feature_cache import GIB, FeatureCache, embed_all
from blemish.methods.glass.remembering import fill
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.scoring import peaks_of
from blemish.methods.trainer import Trainer
from blemish.methods.training_data import TrainingUnit

IN_MEMORY = 1 * GIB  # of cached features; more goes to a temporary file
COLLAPSED = 2.0  # prototypes in use, counted by their share, at which they say nothing


class DmadTrainer(Trainer[Dmad]):
    """Fits offset network, bottleneck and decoder, and learns the scale of both image scores."""

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Train offset network, bottleneck and decoder (§4)."""
        p = self.detector.params
        self.detector.to(loop.device)
        images = unit.normals(self.detector.framing, most=p.windows, seed=loop.seed)
        if self.detector.quantiser is not None and p.codebook == "features":
            self.start_codebook(images, self.detector.quantiser, loop)
        weights = [weight for part in self.detector.trained() for weight in part.parameters()]
        optimizer = torch.optim.AdamW(
            weights, lr=p.learning_rate, betas=(0.5, 0.999), weight_decay=p.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, p.still_epochs + p.epochs)
        most = p.images_per_epoch or len(images)
        self.detector.train()
        if p.still_epochs:
            self.learn_still(images, most, (optimizer, schedule), loop)
        for epoch in loop.epochs(p.epochs, self.detector, optimizer, schedule):
            if self.detector.quantiser is not None:
                self.detector.quantiser.usage.zero_()
            for rows in loop.batches(len(images), p.batch_size, most, epoch):
                with loop.autocast():
                    losses = self.losses(self.detector.scaled(images[rows].to(loop.device)))
                descend(losses, optimizer)
                loop.log(**losses)
            schedule.step()
            loop.save_epoch(self.detector, epoch)
            if self.detector.quantiser is not None:
                loop.log_epoch(**self.detector.quantiser.use())
        self.report_collapse(loop)
        if self.detector.patches is not None:
            self.remember(self.detector.patches, images, loop)
        self.standardise(unit)

    def learn_still(
        self,
        images: Normals,
        most: int,
        state: tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler],
        loop: Loop,
    ) -> None:
        """Train bottleneck and decoder on unwarped images, which the encoder sees once (ours).

        The warp and the encoder behind it take nine tenths of a step's time.
        """
        optimizer, schedule = state
        p, detector = self.detector.params, self.detector

        @torch.no_grad()
        def encode(batch: Tensor) -> list[Tensor]:
            levels: list[Tensor] = detector.backbone(detector.scaled(batch.to(loop.device)))
            return levels

        cache = FeatureCache(
            images, encode, half=True, limit=IN_MEMORY, folder=loop.folder,
            title=f"{loop.title} features",
        )  # fmt: skip
        for epoch in loop.epochs(p.still_epochs, detector, *state, phase="without the warp"):
            for rows in loop.batches(len(images), p.batch_size, most, epoch):
                encoded = cache.rows(rows, loop.device)
                merged, code_loss = detector.bottleneck(encoded)
                losses = {"loss_distance": distillation_loss(encoded, detector.decoder(merged))}
                if detector.quantiser is not None:
                    losses["loss_codes"] = code_loss
                descend(losses, optimizer)
                loop.log(**losses)
            schedule.step()

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """The losses of one step (§4), of images (B, 3, H, W) in [0, 1]."""
        outputs = self.detector(images)
        back = warp_back(outputs.warped, outputs.fields)
        # Bilinear reading commutes with normalisation, so only differences need its scale.
        error = ((back - images) / self.detector.backbone.std).square().mean()
        losses = {
            "loss_distance": distillation_loss(outputs.encoded, outputs.decoded),
            "loss_offset": offset_loss(outputs.fields, error, self.detector.params.cycle_weight),
        }
        return (
            losses
            if self.detector.quantiser is None
            else losses | {"loss_codes": outputs.code_loss}
        )

    @torch.no_grad()
    def start_codebook(self, images: Normals, quantiser: Quantiser, loop: Loop) -> None:
        """Prototypes from vectors of training normals (ours; published: uniform, near 0)."""
        generator = loop.generator(2)
        rows = torch.randperm(len(images), generator=generator)[: len(quantiser.codebook)]
        batches = images[rows].split(BATCH)
        coarsest = [
            self.detector.backbone(self.detector.scaled(batch.to(loop.device)))[2]
            for batch in batches
        ]
        vectors = torch.cat(coarsest).permute(0, 2, 3, 1).flatten(0, 2)
        chosen = torch.randint(len(vectors), (len(quantiser.codebook),), generator=generator)
        quantiser.codebook.copy_(vectors[chosen.to(vectors.device)])

    def remember(self, patches: PatchMemory, images: Normals, loop: Loop) -> None:
        """Fill the memory with patches of the training normals (ours)."""
        title = f"{loop.title} memory"
        cache = embed_all(patches.features, images, title, limit=IN_MEMORY, folder=loop.folder)
        fill(patches.memory, patches.features, cache, self.detector.params.memory, loop)

    def report_collapse(self, loop: Loop) -> None:
        """Say so where nearly all vectors share one prototype: the authors' known instability."""
        if self.detector.quantiser is None or self.detector.quantiser.perplexity() >= COLLAPSED:
            return
        print(
            f"{loop.title}: the prototypes collapsed to one, which tells nothing: train with "
            "`dmad.vq` false, or with `dmad.codebook` features",
            file=sys.stderr,
        )

    def standardise(self, unit: TrainingUnit) -> None:
        """Learn mean and deviation of both image scores of the validation normals."""
        framing = self.detector.framing
        held_out = zip(unit.pictures(framing, "val"), unit.sizes_of("val"), strict=True)
        peaks = [peaks_of(self.detector, picture, size).amax(dim=0) for picture, size in held_out]
        std, mean = torch.std_mean(torch.stack(peaks), dim=0, correction=0)
        self.detector.score_mean.copy_(mean)
        self.detector.score_std.copy_(torch.where(std > 0, std, torch.ones_like(std)))


def descend(losses: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """One step down the sum of the losses."""
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


TRAINER = DmadTrainer
