"""A training step of each method on random images: as the program makes it, and in plain form.

Both start from the same weights, images, masks and noise, so that their first losses must agree.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from glass import WholeNetwork
from torch import Tensor

from blemish.methods.detector import AnyDetector
from blemish.methods.dmad.plain import Plain as PlainDmad
from blemish.methods.dsarad import plain as plain_dsarad
from blemish.methods.dsarad.networks import Reconstruction
from blemish.methods.esad.detector import symmetric
from blemish.methods.esad.plain import Plain as PlainEsad
from blemish.methods.glass.plain import embed
from blemish.methods.trainer import trainer_of
from gpu_proof.settings import square_detector

Loss = Callable[[], Tensor]  # of a step, with its graph
RATE = 1e-6  # so small that the weights of all forms stay near each other


@dataclass(frozen=True)
class Form:
    """One way to make a step. loss: with its graph; optimizers: of what it trains."""

    loss: Loss
    optimizers: list[torch.optim.Optimizer]

    def step(self) -> Tensor:
        """A whole step; its loss stays on the device."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.detach()


@dataclass(frozen=True)
class Batch:
    """Random images in [0, 1], the same with defects, and masks, of a method's size."""

    normal: Tensor
    drawn: Tensor
    masks: Tensor

    @classmethod
    def of(cls, detector: AnyDetector, device: torch.device) -> "Batch":
        random = torch.Generator().manual_seed(0)
        shape = (detector.params.batch_size, 3, *detector.framing.window)
        normal, texture = (torch.rand(shape, generator=random).to(device) for _ in range(2))
        coarse = torch.rand(shape[0], 1, shape[2] // 32, shape[3] // 32, generator=random) > 0.8
        masks = F.interpolate(coarse.float(), shape[2:])[:, 0].bool().to(device)
        return cls(normal, torch.where(masks[:, None], texture, normal), masks)


def forms(method: str, params: Any, device: torch.device) -> tuple[Form, Form]:
    """Ours and the plain one, in training mode."""
    detector = square_detector(method, params).to(device).train()
    return MAKERS[method](detector, Batch.of(detector, device))


def glass(detector: Any, batch: Batch) -> tuple[Form, Form]:
    """GLASS and DLAS-Net; the plain form passes the normal images through the network, too."""
    device, p = batch.normal.device, detector.params
    trainer, cached = trainer_of(detector), detector.features(batch.normal)
    noise = [torch.Generator(device).manual_seed(1) for _ in range(2)]
    plain = _plain_of(p, detector.name).with_weights(detector.adaptor, detector.discriminator)
    plain = plain.to(device).train()
    network, center = network_of(detector), None
    cells = F.max_pool2d(batch.masks[:, None].float(), p.strides[0]).flatten() > 0

    def ours() -> Tensor:
        twins = detector.features(batch.drawn)
        losses = trainer.losses(cached, twins, batch.masks, center, noise[0])
        return torch.stack(list(losses.values())).sum()

    def theirs() -> Tensor:
        x, y = (embed(network, each, p).flatten(0, 2) for each in (batch.normal, batch.drawn))
        drawn = p.noise * torch.randn(x.shape, generator=noise[1], device=device)
        return torch.stack(list(plain.losses(x, y, cells, drawn, center).values())).sum()

    return Form(ours, trainer.optimizers()), Form(theirs, plain.optimizers())


def network_of(detector: Any) -> Callable[[Tensor], list[Tensor]]:
    """The backbone as the published code runs it: to its end, for the layers tapped on the way."""
    backbone = detector.features.backbone
    if not backbone.name.startswith("wide_resnet50_2"):
        return lambda images: list(backbone.network(images))
    whole = WholeNetwork(detector)
    whole.network.to(backbone.mean.device)
    return whole


def _plain_of(p: Any, name: str) -> Any:
    from importlib import import_module

    return import_module(f"blemish.methods.{name}.plain").Plain(p)


def dsarad(detector: Any, batch: Batch) -> tuple[Form, Form]:
    """A step of student and segmenter; the published teacher runs whole, with gradients."""
    device = batch.normal.device
    seed = torch.Generator().manual_seed(1)
    teacher = Reconstruction(detector.params.width, seed).to(device).train()
    copies = copy.deepcopy(detector), copy.deepcopy(teacher)
    for network in copies:
        plain_dsarad.make_plain(network)
    given = batch.normal, batch.drawn, batch.masks
    trainer = trainer_of(detector)

    def ours() -> Tensor:
        return torch.stack(list(trainer.losses(teacher, *given).values())).sum()

    def theirs() -> Tensor:
        losses = plain_dsarad.losses(copies[0], copies[1], *given)
        return torch.stack(list(losses.values())).sum()

    return _both(ours, detector, theirs, list(copies[0].parameters()))


def esad(detector: Any, batch: Batch) -> tuple[Form, Form]:
    """A step of both U-Nets by one set of masks."""
    x = symmetric((batch.normal * 255).to(torch.uint8))
    cached, trainer = detector.backbone.embed(x), trainer_of(detector)
    removed = trainer.draw_masks(torch.Generator().manual_seed(1), x.device)
    kept, plain = (~removed).to(x.dtype), PlainEsad(detector)

    def ours() -> Tensor:
        return torch.stack(list(trainer.losses(x, cached, removed).values())).sum()

    weights = [*plain.p.parameters(), *plain.g.parameters()]
    return _both(ours, detector, lambda: plain.loss(x, kept), weights)


def dmad(detector: Any, batch: Batch) -> tuple[Form, Form]:
    """A step of offset network, bottleneck and decoder."""
    trainer, plain = trainer_of(detector), PlainDmad(detector)

    def ours() -> Tensor:
        return torch.stack(list(trainer.losses(batch.normal).values())).sum()

    return _both(ours, detector, lambda: plain.loss(batch.normal), plain.trained())


def _both(ours: Loss, detector: AnyDetector, theirs: Loss, weights: Any) -> tuple[Form, Form]:
    trained = [weight for weight in detector.parameters() if weight.requires_grad]
    first, second = (torch.optim.Adam(each, lr=RATE) for each in (trained, weights))
    return Form(ours, [first]), Form(theirs, [second])


MAKERS: dict[str, Callable[[Any, Batch], tuple[Form, Form]]] = {
    "glass": glass, "dlas": glass, "dsarad": dsarad, "esad": esad, "dmad": dmad,
}  # fmt: skip
