"""DLAS-Net §3, §4, §10 items 2–5: the feature level, the single level, smoothing, FPR@95.

The literal step is written out here alone: every row of features, autograd for the ascent, offsets
clipped row by row.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from blemish.core.params import TrainingParams
from blemish.methods.dlas.detector import Dlas
from blemish.methods.dlas.params import Params
from blemish.methods.dlas.projection import adaptive_projection
from blemish.methods.glass.ascent import band, hypersphere_ascent
from blemish.methods.glass.heads import Adaptor, Discriminator
from blemish.methods.glass.hidden_ascent import Ascent, Projection, ascend
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from blemish.metrics.image_metrics import image_metrics
from blemish.nn.patches import PatchEmbedding
from blemish.nn.smoothing import anomaly_map


def test_the_defaults_are_the_published_settings() -> None:
    p = Params()
    assert (p.strides, p.image_size, p.batch_size, p.epochs, p.sigma) == ([16], 288, 1, 100, 1)
    assert (p.noise, p.ascent_steps, p.ascent_length, p.ascent_gain) == (0.015, 20, 0.001, 1)
    assert p.kinds is not None
    assert {name for name, share in p.kinds.model_dump().items() if share} == {"dlas"}
    loop = Loop(TrainingParams(device="cpu"), 0, "")
    assert len(list(loop.batches(2100, 1, p.images_per_epoch, epoch=0))) == 393


def test_parameters_are_as_many_as_those_of_glass() -> None:
    generator = torch.Generator().manual_seed(0)
    modules = Adaptor(1536, generator=generator), Discriminator(1536, 1024, generator=generator)
    counts = [sum(one.numel() for one in module.parameters()) for module in modules]
    assert counts == [2_360_832, 1_576_960]


def test_embedding_of_one_level_is_means_of_six_consecutive_entries() -> None:
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(1, 1024, 18, 18, dtype=torch.float64, generator=generator)
    found = PatchEmbedding([1024], 1536, 1536, 3, torch.float64)([level])
    patches = F.unfold(level, 3, padding=1)  # (1, 9216, 324): channel, then row, then column
    expected = patches.view(1, 1536, 6, 324).mean(dim=2).movedim(1, 2)
    torch.testing.assert_close(found.flatten(1, 2), expected, rtol=0, atol=1e-12)


def offsets(
    d: Discriminator, u: Tensor, noise: Tensor, ascent: Ascent, shell: Projection
) -> Tensor:
    """g − u on the manifold, (N, C)."""
    hidden = d.first(u).detach()
    start = hidden + noise @ d.first.weight.T.detach()
    length = noise.norm(dim=1, keepdim=True)
    scale, steps = ascend(d, hidden, hidden, start, length, ascent, shell).total()
    return scale * noise + steps @ d.first.weight.detach()


def test_on_the_manifold_the_ascent_is_that_of_glass() -> None:
    generator = torch.Generator().manual_seed(2)
    d = Discriminator(1536, 128, generator=generator).double()
    u = torch.randn(324, 1536, dtype=torch.float64, generator=generator)
    noise = 0.015 * torch.randn(u.shape, dtype=torch.float64, generator=generator)
    lengths = noise.norm(dim=1)
    radius = lengths.mean() + 0.5 * lengths.std()
    assert radius.item() == pytest.approx(0.593, abs=0.002)
    assert 0.475 < lengths.min() < lengths.max() < 0.712
    glass = offsets(d, u, noise, Ascent(), band(0.5, 1.0))
    dlas = offsets(d, u, noise, Ascent(gain=1.0), adaptive_projection())
    assert 0 < (dlas - glass).norm(dim=1).max() < 1e-4
    free = offsets(d, u, noise, Ascent(gain=1.0), lambda lengths: lengths)
    torch.testing.assert_close(dlas, free, rtol=0, atol=1e-9)  # the projection changes nothing


@pytest.mark.parametrize("distance", [0.02, 0.15, 3.0])
def test_on_the_hypersphere_all_rows_end_in_the_shell(distance: float) -> None:
    generator = torch.Generator().manual_seed(3)
    d = Discriminator(24, 16, generator=generator).double()
    center = torch.randn(40, 24, dtype=torch.float64, generator=generator)
    spread = distance * torch.rand(80, 1, dtype=torch.float64, generator=generator)
    u = center.repeat(2, 1) + spread * torch.randn(80, 24, dtype=torch.float64, generator=generator)
    noise = 0.015 * torch.randn(80, 24, dtype=torch.float64, generator=generator)
    seen: list[Tensor] = []

    def shell(lengths: Tensor) -> Tensor:
        seen.append((lengths.mean() + 0.5 * lengths.std()).clamp(0.5, 1.0))
        return adaptive_projection()(lengths)

    # The last step is a projection, so its radius is the one that rows lie around.
    g = hypersphere_ascent(d, u, noise, center, Ascent(gain=1.0), shell)
    radius = seen[-1]
    assert 0.5 <= radius <= 1.0
    found = (g - center.repeat(2, 1)).norm(dim=1) / radius
    assert found.min() > 0.8 - 1e-9
    assert found.max() < 1.2 + 1e-9
    if distance == 3.0:  # "anomalies" inside the normal cloud
        assert found.max() * radius < (u - center.repeat(2, 1)).norm(dim=1).median()


TINY = {
    "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64, "patch": 3,
    "pretrain_dim": 24, "target_dim": 16, "hidden": 12, "enlarge": 1.0, "ascent_gain": 30.0,
}  # fmt: skip


def tiny(hypersphere: bool, noise: float) -> Dlas:
    """A small model in float64; its gradients are large enough for the step factor to matter."""
    variant = "hypersphere" if hypersphere else "manifold"
    model = Dlas(Params(**TINY, variant=variant, noise=noise, ascent_length=0.02), 0)
    return model.double().train()


def literal(
    model: Dlas, normal: Tensor, synthetic: Tensor, masked: Tensor, center: Tensor, seed: int
) -> Tensor:
    """The total loss of one step, word by word; normal, synthetic: cells (N, C)."""
    p, d = model.params, model.discriminator
    u, f = model.adaptor(normal), model.adaptor(synthetic)
    generator = torch.Generator().manual_seed(seed)
    g = u + (p.noise * torch.randn(u.shape, generator=generator)).double()  # drawn in float32

    def score(rows: Tensor) -> Tensor:
        z = F.linear(rows, d.first.weight, d.first.bias)
        return torch.sigmoid(F.leaky_relu(d.norm(z), 0.2) @ d.tail.weight[0])

    rows = len(u)
    ones, zeros = torch.ones(rows, dtype=u.dtype), torch.zeros(rows, dtype=u.dtype)
    base = center if model.hypersphere else u
    for k in range(p.ascent_steps):
        loss = F.binary_cross_entropy(score(torch.cat([u, g]))[rows:], ones)
        (slope,) = torch.autograd.grad(loss, g, retain_graph=True)
        size = slope.norm(dim=1, keepdim=True)
        g = g + (p.ascent_length * (1 + p.ascent_gain * size) * slope / (size + 1e-10)).detach()
        if (k + 1) % 5 == 0:
            h = g - base
            length = h.pow(2).sum(dim=1, keepdim=True).sqrt()
            r = (length.mean() + 0.5 * length.std()).clamp(0.5, 1.0)
            wanted = torch.minimum(torch.maximum(length, 0.8 * r), 1.2 * r)
            g = base + wanted / (length + 1e-10) * h
    if model.hypersphere:
        distances = torch.cat([(u - center).norm(dim=1), (f - center)[~masked].norm(dim=1)])
        radius = torch.quantile(distances.detach(), 0.75)
        length = (f - center).norm(dim=1, keepdim=True)
        wanted = torch.clamp(torch.clamp(length, min=2 * radius), max=4 * radius)
        pushed = center + wanted / (length + 1e-10) * (f - center)
        f = torch.where(masked[:, None], pushed, f)
    scores = score(torch.cat([u, g]))
    total = F.binary_cross_entropy(scores[:rows], zeros)
    total = total + F.binary_cross_entropy(scores[rows:], ones)
    scores = score(f)
    error = (scores - masked.double()).pow(2).detach()
    keep = error >= torch.quantile(error, 0.5)
    target = masked.double().clamp(1e-5, 1 - 1e-5)
    pt = ((1 - target) * (1 - scores) + target * scores + 1e-5)[keep]
    return total + (-((1 - pt) ** 2) * pt.log()).mean()


# At 16 dimensions the noise is 4σ long: below the shell's least radius, and inside.
@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("hypersphere", [False, True])
def test_a_step_of_the_method_equals_the_literal_one(hypersphere: bool, noise: float) -> None:
    ours, plain = tiny(hypersphere, noise), tiny(hypersphere, noise)
    generator = torch.Generator().manual_seed(4)
    normal, synthetic = torch.rand(2, 3, 3, 64, 64, dtype=torch.float64, generator=generator)
    masks = torch.zeros(3, 64, 64, dtype=torch.bool)
    masks[:, 10:30, 20:50] = True
    cells = [plain.features.cells(images).flatten(0, 2) for images in (normal, synthetic)]
    rows = len(cells[0])
    masked = F.max_pool2d(masks.double(), 16).flatten() > 0
    center = plain.adaptor(cells[0].view(3, -1, 16).mean(dim=0)).detach()
    levels = ours.features(normal), ours.features(synthetic)
    losses = trainer_of(ours).losses(
        *levels, masks, center if hypersphere else None, torch.Generator().manual_seed(5)
    )
    total = sum(losses.values(), torch.zeros((), dtype=torch.float64))
    expected = literal(plain, *cells, masked, center.repeat(3, 1), 5)
    assert rows == 48
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-10)
    total.backward()
    expected.backward()
    gradients = dict(plain.named_parameters())
    for name, parameter in ours.named_parameters():
        if not name.startswith("features."):
            torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=0, atol=1e-10)
    for one, other in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    assert ours.discriminator.norm.num_batches_tracked.item() == 22


def test_maps_are_smoothed_by_one_pixel() -> None:
    cells = torch.rand(2, 18, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    maps = anomaly_map(cells, (288, 288), Params().sigma)
    resized = F.interpolate(cells[:, None], (288, 288), mode="bilinear", align_corners=False)[:, 0]
    for one, expected in zip(maps, resized, strict=True):
        smoothed = gaussian_filter(expected.numpy(), 1.0, mode="reflect", radius=4)
        torch.testing.assert_close(one, torch.from_numpy(smoothed), rtol=0, atol=1e-12)


def test_fpr_at_95_of_scores_in_perfect_order_is_zero() -> None:
    labels, scores = np.repeat([0, 1], 20), np.linspace(0, 1, 40)
    assert image_metrics(labels, scores)["image_fpr95"] == 0
    # Ties are grouped: 10 of 20 normals share the score of every defect.
    tied = np.concatenate([np.linspace(0, 0.5, 10), np.ones(30)])
    assert image_metrics(labels, tied)["image_fpr95"] == 0.5
