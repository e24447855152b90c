"""DSARAD word for word as in `docs/spec/dsarad.md`; tests and benchmarks compare with it.

Nothing that is shipped imports this module.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from blemish.methods.dsarad.detector import Dsarad
from blemish.methods.dsarad.draws import rotated
from blemish.methods.dsarad.networks import ConvNorm, NonLocal, Reconstruction
from blemish.methods.dsarad.params import Params
from blemish.methods.loop import Loop
from blemish.methods.training_data import TrainingUnit
from blemish.synthesis.render import render

Texture = NDArray[np.uint8]


def blend(x: Tensor, texture: Tensor, m: Tensor, b: float) -> Tensor:
    """§2.4: the texture on the image where m is 1; b is the weight of the image."""
    return x * (1 - m) + m * ((1 - b) * texture + b * x)


def gamma(texture: Texture, exponents: NDArray[np.float64]) -> Texture:
    """§2.5, operation 1."""
    return np.floor(255 * (texture / 255) ** exponents).astype(np.uint8)


def brightness(texture: Texture, factor: float, addend: int) -> Texture:
    """§2.5, operation 2, in HSV, multiplied first."""
    hsv = cv2.cvtColor(texture, cv2.COLOR_RGB2HSV)
    hsv[:, :, 2] = np.clip(np.round(hsv[:, :, 2] * factor + addend), 0, 255).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.uint8)


def sharpness(texture: Texture, factor: float) -> Texture:
    """§2.5, operation 3."""
    return np.asarray(ImageEnhance.Sharpness(Image.fromarray(texture)).enhance(factor))


def hue_and_saturation(texture: Texture, hue: int, saturation: int) -> Texture:
    """§2.5, operation 4."""
    hsv = cv2.cvtColor(texture, cv2.COLOR_RGB2HSV).astype(int)
    hsv[:, :, 0] = (hsv[:, :, 0] + math.trunc(hue / 255 * 180)) % 180
    hsv[:, :, 1] = np.clip(hsv[:, :, 1] + saturation, 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.uint8)


def solarize(texture: Texture, threshold: float) -> Texture:
    """§2.5, operation 5."""
    return np.where(texture >= threshold, 255 - texture, texture).astype(np.uint8)


def posterize(texture: Texture, bits: int) -> Texture:
    """§2.5, operation 6."""
    q = 256 / 2**bits
    return np.asarray(np.floor(texture / q) * q + q / 2, dtype=np.uint8)


def invert(texture: Texture) -> Texture:
    """§2.5, operation 7."""
    return 255 - texture


def autocontrast(texture: Texture, cutoff: int) -> Texture:
    """§2.5, operation 8."""
    return np.asarray(ImageOps.autocontrast(Image.fromarray(texture), cutoff))


def equalize(texture: Texture) -> Texture:
    """§2.5, operation 9."""
    return np.asarray(ImageOps.equalize(Image.fromarray(texture)))


def rotation(texture: Texture, degrees: float) -> Texture:
    """§2.5, operation 10."""
    return np.asarray(Image.fromarray(texture).rotate(degrees, Image.Resampling.BILINEAR))


def convolution(layer: ConvNorm, x: Tensor) -> Tensor:
    """§3: a convolution, then BatchNorm."""
    normalised: Tensor = layer.norm(layer.conv(x))
    return normalised


def attention(block: NonLocal, x: Tensor) -> Tensor:
    """§3.2, with the matrix of scores."""
    theta = block.theta(x).flatten(2)
    phi, g = (F.max_pool2d(projection(x), 2).flatten(2) for projection in (block.phi, block.g))
    weights = (theta.mT @ phi).softmax(dim=2)
    y = (weights @ g.mT).mT.reshape(len(x), -1, *x.shape[2:])
    return convolution(block.back, y) + x


def make_plain(network: nn.Module) -> None:
    """Two layers and a matrix of scores where ours has one layer and none; channels apart."""
    for module in network.modules():
        for kind, forward in ((NonLocal, attention), (ConvNorm, convolution)):
            if isinstance(module, kind):
                module.forward = forward.__get__(module)  # type: ignore[method-assign]
    network.to(memory_format=torch.contiguous_format)


def ssim_loss(r: Tensor, x: Tensor, rounded: bool = False) -> Tensor:
    """§4: a two-dimensional window, the range tested on the host.

    rounded: the window's weights through float32, as published, whatever the images' precision.
    """
    weights = [math.exp(-((k - 5) ** 2) / (2 * 1.5**2)) for k in range(11)]
    line = torch.tensor(weights, dtype=r.dtype, device=r.device)
    window = torch.outer(line / line.sum(), line / line.sum()).expand(r.shape[1], 1, 11, 11)
    window = (window.float().to(r.dtype) if rounded else window).contiguous()

    def blur(images: Tensor) -> Tensor:
        return F.conv2d(images, window, padding=5, groups=images.shape[1])

    length = (255 if r.max() > 128 else 1) - (-1 if r.min() < -0.5 else 0)
    c1, c2 = (0.01 * length) ** 2, (0.03 * length) ** 2
    mr, mx = blur(r), blur(x)
    vr, vx, cov = blur(r * r) - mr**2, blur(x * x) - mx**2, blur(r * x) - mr * mx
    ssim = (2 * mr * mx + c1) * (2 * cov + c2) / ((mr**2 + mx**2 + c1) * (vr + vx + c2))
    return 1 - ssim.mean()


def focal(p: Tensor, m: Tensor) -> Tensor:
    """§4, with a smoothed one-hot target made on the host; p: (B, 2, H, W), m: (B, H, W)."""
    one_hot = F.one_hot(m.long().cpu(), 2).movedim(-1, 1).to(p).clamp(1e-5, 1 - 1e-5)
    pt = (one_hot * p).sum(dim=1) + 1e-5
    return (-((1 - pt) ** 2) * pt.log()).mean()


def distillation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """§4, F1 … F4 of both."""
    total = torch.zeros((), dtype=student[0].dtype, device=student[0].device)
    for s, t in zip(student, teacher, strict=True):
        total = total + (1 - F.cosine_similarity(s.flatten(1), t.flatten(1))).mean()
        total = total + 0.05 * F.mse_loss(s, t)
    return total


def losses(
    model: Dsarad, teacher: Reconstruction, images: Tensor, corrupted: Tensor, masks: Tensor
) -> dict[str, Tensor]:
    """§4: the terms of one step. The teacher runs whole, and its gradients are never applied."""
    reconstruction, features = model.student(corrupted)
    _, targets = teacher(images)
    logits = model.segmenter(torch.cat([reconstruction, corrupted], dim=1))
    return {
        "loss_mse": F.mse_loss(reconstruction, images),
        "loss_ssim": ssim_loss(reconstruction, images),
        "loss_focal": focal(logits.softmax(dim=1), masks),
        "loss_distillation": distillation(features, targets),
    }


def score(model: Dsarad, images: Tensor, box: int) -> tuple[Tensor, Tensor]:
    """§6: maps of images in [0, 1], and image scores."""
    reconstruction, _ = model.student(images)
    maps = model.segmenter(torch.cat([reconstruction, images], dim=1)).softmax(dim=1)[:, 1]
    means = F.avg_pool2d(maps[:, None], box, stride=1, padding=box // 2, count_include_pad=True)
    return maps, means.amax(dim=(1, 2, 3))


class Training:
    """§5: two stages, in place; `model` and `teacher` are made plain, and nothing is left out."""

    def __init__(self, model: Dsarad, teacher: Reconstruction, unit: TrainingUnit, run: Loop):
        self.model, self.teacher, self.run = model.train(), teacher.train(), run
        self.p: Params = model.params
        self.unit = unit.with_kinds(self.p.kinds)
        self.pictures = unit.normals(model.framing)
        make_plain(model)
        make_plain(teacher)

    def fit(self) -> list[dict[str, float]]:
        """Train, and return the mean losses of each epoch."""
        p, curves = self.p, []
        student, instructor = (
            torch.optim.Adam(network.parameters(), lr=p.learning_rate)
            for network in (self.model, self.teacher)
        )
        milestones = [round(share * p.epochs) for share in p.milestones]
        schedules = [
            MultiStepLR(optimizer, milestones, p.decay) for optimizer in (student, instructor)
        ]
        for epoch in range(p.epochs):
            first = p.epochs + epoch * p.passes
            for number in range(first, first + p.passes if epoch < p.teacher_epochs else first):
                for images, _, _ in self.batches(number):
                    self.reconstruct(instructor, images)
                schedules[1].step()
            steps = [self.step(student, *batch) for batch in self.batches(epoch)]
            schedules[0].step()
            curves.append({key: sum(step[key] for step in steps) / len(steps) for key in steps[0]})
        return curves

    def batches(self, number: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Images, the same with defects, and masks (§2.3); the last incomplete batch is dropped."""
        most, dtype = self.p.images_per_epoch or len(self.pictures), self.model.dtype
        for rows in self.run.batches(len(self.pictures), self.p.batch_size, most, number):
            if len(rows) == self.p.batch_size:
                recipes = self.unit.draw(rows, number, self.run.seed)
                seeds = torch.tensor(recipes["seed"].tolist())
                pictures, _ = rotated(self.pictures[rows], None, seeds, self.p.rotation)
                corrupted, masks = render(recipes, pictures, self.unit.textures, 1)
                yield pictures.to(dtype) / 255, corrupted.to(dtype), masks

    def reconstruct(self, optimizer: torch.optim.Optimizer, images: Tensor) -> None:
        """A step of the teacher (§4)."""
        optimizer.zero_grad()
        reconstruction, _ = self.teacher(images)
        loss = F.mse_loss(reconstruction, images) + ssim_loss(reconstruction, images)
        loss.backward()
        optimizer.step()

    def step(self, optimizer: torch.optim.Optimizer, *batch: Tensor) -> dict[str, float]:
        """A step of student and segmenter (§4)."""
        optimizer.zero_grad()
        terms = losses(self.model, self.teacher, *batch)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        return {name: value.item() for name, value in terms.items()}
