"""DLAS-Net, `docs/spec/dlas-net.md` §§3–5, §10: feature level, single level, smoothing, FPR@95."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.core.params import TrainingParams
from blemish.methods.dlas.detector import Dlas
from blemish.methods.dlas.params import Params
from blemish.methods.dlas.plain import Plain
from blemish.methods.dlas.projection import adaptive_projection
from blemish.methods.glass import plain
from blemish.methods.glass.ascent import band, hypersphere_ascent
from blemish.methods.glass.heads import Adaptor, Discriminator
from blemish.methods.glass.hidden_ascent import Ascent
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from blemish.metrics.image_metrics import image_metrics
from blemish.nn.patches import PatchEmbedding
from blemish.nn.smoothing import anomaly_map
from tests.glass import offsets
from tests.models import new


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
    counts = [sum(weights.numel() for weights in module.parameters()) for module in modules]
    assert counts == [2_360_832, 1_576_960]


def test_embedding_of_one_level_is_means_of_six_consecutive_entries() -> None:
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(1, 1024, 18, 18, dtype=torch.float64, generator=generator)
    cells = PatchEmbedding([1024], 1536, 1536, 3, torch.float64)([level])
    patches = F.unfold(level, 3, padding=1)  # (1, 9216, 324): channel, then row, then column
    expected = patches.view(1, 1536, 6, 324).mean(dim=2).movedim(1, 2)
    torch.testing.assert_close(cells.flatten(1, 2), expected, rtol=0, atol=1e-12)


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
def test_on_the_hypersphere_all_rows_end_near_the_radius(distance: float) -> None:
    generator = torch.Generator().manual_seed(3)
    d = Discriminator(24, 16, generator=generator).double()
    center = torch.randn(40, 24, dtype=torch.float64, generator=generator)
    spread = distance * torch.rand(80, 1, dtype=torch.float64, generator=generator)
    u = center.repeat(2, 1) + spread * torch.randn(80, 24, dtype=torch.float64, generator=generator)
    noise = 0.015 * torch.randn(80, 24, dtype=torch.float64, generator=generator)
    seen: list[Tensor] = []

    def projection(lengths: Tensor) -> Tensor:
        seen.append((lengths.mean() + 0.5 * lengths.std()).clamp(0.5, 1.0))
        return adaptive_projection()(lengths)

    # The last step is a projection, so its radius is the one that rows lie around.
    g = hypersphere_ascent(d, u, noise, center, Ascent(gain=1.0), projection)
    radius = seen[-1]
    assert 0.5 <= radius <= 1.0
    distance_in_radii = (g - center.repeat(2, 1)).norm(dim=1) / radius
    assert distance_in_radii.min() > 0.8 - 1e-9
    assert distance_in_radii.max() < 1.2 + 1e-9
    if distance == 3.0:  # "anomalies" inside the normal cloud
        assert distance_in_radii.max() * radius < (u - center.repeat(2, 1)).norm(dim=1).median()


TINY = {
    "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64, "patch": 3,
    "pretrain_dim": 24, "target_dim": 16, "hidden": 12, "enlarge": 1.0, "ascent_gain": 30.0,
}  # fmt: skip


def tiny(hypersphere: bool, noise: float) -> Dlas:
    """A small model in float64; its gradients are large enough for the step factor to matter."""
    variant = "hypersphere" if hypersphere else "manifold"
    model = new("dlas", Params(**TINY, variant=variant, noise=noise, ascent_length=0.02))
    return model.double().train()


# At 16 dimensions the noise is 4σ long: below the least radius, and inside.
@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("hypersphere", [False, True])
def test_a_step_of_the_method_equals_the_plain_step(hypersphere: bool, noise: float) -> None:
    ours = tiny(hypersphere, noise)
    theirs = Plain(ours.params).with_weights(ours.adaptor, ours.discriminator)
    generator = torch.Generator().manual_seed(4)
    normal, synthetic = torch.rand(2, 3, 3, 64, 64, dtype=torch.float64, generator=generator)
    masks = torch.zeros(3, 64, 64, dtype=torch.bool)
    masks[:, 10:30, 20:50] = True
    x, y = (ours.features.cells(images) for images in (normal, synthetic))
    center = theirs.center([x])
    losses = trainer_of(ours).losses(
        ours.features(normal),
        ours.features(synthetic),
        masks,
        center if hypersphere else None,
        torch.Generator().manual_seed(5),
    )
    m = F.max_pool2d(masks.double(), 16).flatten() > 0
    assert len(m) == 48
    drawn = torch.randn(48, 16, generator=torch.Generator().manual_seed(5))  # in float32
    c = center.repeat(3, 1) if hypersphere else None
    expected = theirs.losses(x.flatten(0, 2), y.flatten(0, 2), m, (noise * drawn).double(), c)
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name], rtol=0, atol=1e-10)
    torch.stack(list(losses.values())).sum().backward()
    torch.stack(list(expected.values())).sum().backward()
    trained = torch.nn.ModuleList([ours.adaptor, ours.discriminator])
    for mine, other in zip(trained.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=1e-10)
    for mine, other in zip(trained.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)
    assert ours.discriminator.norm.num_batches_tracked.item() == 22


def test_maps_are_smoothed_by_one_pixel() -> None:
    cells = torch.rand(2, 18, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    maps = anomaly_map(cells, (288, 288), Params().sigma)
    expected = plain.anomaly_maps(cells, (288, 288), 1.0)
    torch.testing.assert_close(maps, expected, rtol=0, atol=1e-12)


def test_fpr_at_95_of_scores_in_perfect_order_is_zero() -> None:
    labels, scores = np.repeat([0, 1], 20), np.linspace(0, 1, 40)
    assert image_metrics(labels, scores)["image_fpr95"] == 0
    # Ties are grouped: 10 of 20 normals share the score of every defect.
    tied = np.concatenate([np.linspace(0, 0.5, 10), np.ones(30)])
    assert image_metrics(labels, tied)["image_fpr95"] == 0.5
