"""GLASS as a whole: training equals a literal re-implementation of §§4–10 in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter
from torch import Tensor

from blemish.core.params import TrainingParams
from blemish.images.framing import Framing
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.distribution import judge
from blemish.methods.glass.feature_cache import embed_all
from blemish.methods.glass.params import Params
from blemish.methods.glass.training import mean_image
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from blemish.methods.training_data import TrainingUnit
from blemish.nn.patches import PatchEmbedding
from blemish.synthesis.render import render
from tests.parity.test_glass_embedding import literal_embedding
from tests.units import scratch, tiny_unit, train_model, write_unit

TINY: dict[str, Any] = {
    "backbone": "efficientnet_lite0", "strides": [8, 16], "image_size": 64, "resize": "crop",
    "pretrain_dim": 24, "target_dim": 16, "hidden": 12, "variant": "manifold",
    "epochs": 3, "batch_size": 4, "images_per_epoch": 4, "learning_rate": 0.01,
}  # fmt: skip
STEPS = 2  # an epoch stops after the batch that exceeds images_per_epoch


def glass(**changes: Any) -> Glass:
    return Glass(Params(**(TINY | changes)), seed=5)


def double(**changes: Any) -> Glass:
    """In float64 throughout; the fixed pooling weights, thirds and sixths, from the start."""
    ours = glass(**changes)
    p: Params = ours.params
    sizes = (ours.features.backbone.channels, p.pretrain_dim, p.target_dim, p.patch)
    ours.features.embedding = PatchEmbedding(*sizes, dtype=torch.float64)
    return ours.double()


def loop() -> Loop:
    return Loop(TrainingParams(device="cpu", threads=1), 5, "tiny")


class LiteralGlass:
    """The specification word by word, on plain tensors; only the network E taps is timm's."""

    def __init__(self, start: Glass) -> None:
        self.p: Params = start.params
        self.network = start.features.backbone.network
        self.state = {
            key: value.clone() for key, value in start.state_dict().items() if "features" not in key
        }
        self.mean, self.std = torch.zeros(1), torch.ones(1)
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}
        self.steps = 0
        self.clipped: list[tuple[int, int, int]] = []

    def embed(self, images: Tensor) -> Tensor:
        """§4: (B, 3, H, W) in [0, 1] -> (B·h·w, C)."""
        mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float32).double()[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float32).double()[:, None, None]
        with torch.no_grad():
            levels = self.network((images.double() - mean) / std)
        cells = literal_embedding(levels, self.p.pretrain_dim, self.p.target_dim, self.p.patch)
        return cells.flatten(0, 2)

    def adapt(self, rows: Tensor) -> Tensor:
        rows = (rows - self.mean) / self.std
        return rows @ self.state["adaptor.linear.weight"].T + self.state["adaptor.linear.bias"]

    def score(self, rows: Tensor) -> Tensor:
        """§5 in train mode: batch statistics, running ones updated."""
        s = self.state
        z = rows @ s["discriminator.first.weight"].T + s["discriminator.first.bias"]
        mean, variance = z.mean(dim=0), z.var(dim=0, unbiased=False)
        with torch.no_grad():
            for name, value in (("mean", mean), ("var", z.var(dim=0, unbiased=True))):
                key = f"discriminator.norm.running_{name}"
                s[key] = 0.9 * s[key] + 0.1 * value
        s["discriminator.norm.num_batches_tracked"] += 1
        return self.after_norm(z, mean, variance)

    def after_norm(self, z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        s = self.state
        z = (z - mean) / (variance + 1e-5).sqrt()
        z = z * s["discriminator.norm.weight"] + s["discriminator.norm.bias"]
        z = torch.where(z > 0, z, 0.2 * z)
        return torch.sigmoid(z @ s["discriminator.tail.weight"].T)[:, 0]

    def clip_around(self, point: Tensor, rows: Tensor, low: Any, high: Any) -> Tensor:
        h = rows - point
        length = h.norm(dim=1, keepdim=True)
        inside = (length >= low) & (length <= high)
        counts = ((length < low).sum(), inside.sum(), (length > high).sum())
        self.clipped.append(tuple(int(count) for count in counts))
        return point + length.clamp(min=low).clamp(max=high) / (length + 1e-10) * h

    def losses(self, x: Tensor, synthetic: Tensor, m: Tensor, c: Any, noise: Tensor) -> list:
        """§§7–9: features x and of the synthetic images (N, C), m bool (N,), c (N, C) or None."""
        p = self.p
        u, f = self.adapt(x), self.adapt(synthetic)
        low, high = p.band
        if p.band_unit == "noise":
            low, high = (bound * p.noise * math.sqrt(p.target_dim) for bound in p.band)
        if c is not None:
            distances = torch.cat([(u - c).norm(dim=1), (f - c)[~m].norm(dim=1)])
            r = torch.quantile(distances.detach(), p.radius_quantile)
        ones = torch.ones(len(u), dtype=torch.float64)
        g = u + noise * p.noise
        for k in range(p.ascent_steps):
            loss = F.binary_cross_entropy(self.score(torch.cat([u, g]))[len(u) :], ones)
            (slope,) = torch.autograd.grad(loss, g, retain_graph=True)
            step = p.ascent_length * slope / (slope.norm(dim=1, keepdim=True) + 1e-10)
            g = g + step.detach()
            if (k + 1) % p.project_every == 0:
                g = (
                    self.clip_around(u, g, low, high)
                    if c is None
                    else self.clip_around(c, g, r, 2 * r)
                )
        if c is not None:
            f = torch.where(m[:, None], self.clip_around(c, f, 2 * r, 4 * r), f)
        scores = self.score(torch.cat([u, g]))
        normal = F.binary_cross_entropy(scores[: len(u)], 0 * ones)
        globally = F.binary_cross_entropy(scores[len(u) :], ones)
        s = self.score(f)
        error = (s - m.double()).square().detach()
        kept = error >= torch.quantile(error, p.hard_quantile)
        q = m.double().clamp(1e-5, 1 - 1e-5)
        pt = ((1 - q) * (1 - s) + q * s + 1e-5)[kept]
        return [normal, globally, (-((1 - pt) ** 2) * pt.log()).mean()]

    def center(self, x: Tensor, run: Loop, epoch: int) -> Tensor:
        """§6: batch by batch over all images; a smaller last batch weighs as much as the others."""
        everything = run.batches(len(x), self.p.batch_size, len(x), epoch)
        means = [self.adapt(x[rows]).mean(dim=0) for rows in everything]
        assert len(means) == 3
        return torch.stack(means).mean(dim=0).detach()

    def update(self, loss: Tensor, parameters: dict[str, Tensor]) -> None:
        """§10: Adam with coupled decay for A, AdamW at twice the rate for D."""
        self.steps += 1
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        for (key, value), gradient in zip(parameters.items(), gradients, strict=True):
            rate, old = self.p.learning_rate, value.detach()
            if key.startswith("adaptor"):
                gradient = gradient + 1e-5 * old
            else:
                rate *= 2
                old = old * (1 - rate * 0.01)
            m, v = self.moments.get(key, (torch.zeros_like(old), torch.zeros_like(old)))
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            self.moments[key] = (m, v)
            m, v = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
            self.state[key] = old - rate * m / (v.sqrt() + 1e-8)

    def fit(self, unit: TrainingUnit, run: Loop, hypersphere: bool) -> list[dict[str, float]]:
        p = self.p
        pictures = unit.normals(Framing(p.image_size, p.resize))
        x = self.embed(pictures.float() / 255).view(len(pictures), -1, p.target_dim)
        if p.standardise:
            rows = x.flatten(0, 1)
            self.mean, self.std = rows.mean(dim=0), rows.std(dim=0)
        generator = run.generator(2)
        curves, states = [], []
        for epoch in range(p.epochs):
            c = self.center(x, run, epoch) if hypersphere else None
            seen, sums = 0, torch.zeros(3, dtype=torch.float64)
            for rows in run.batches(len(x), p.batch_size, p.images_per_epoch, epoch):
                parameters = {
                    key: value.requires_grad_()
                    for key, value in self.state.items()
                    if "running" not in key and "tracked" not in key
                }
                recipes = unit.draw(rows, epoch, run.seed)
                drawn, masks = render(recipes, pictures[rows], unit.textures, p.strides[0])
                m = F.max_pool2d(masks.double(), p.strides[0]).flatten() > 0
                centers = None if c is None else torch.cat([c] * len(rows))
                noise = torch.randn(m.numel(), p.target_dim, generator=generator)
                features = x[rows].flatten(0, 1)
                parts = self.losses(features, self.embed(drawn), m, centers, noise)
                self.update(sum(parts), parameters)
                seen += 1
                sums += torch.stack(parts).detach()
            names = ("loss_normal", "loss_global", "loss_local")
            means = dict(zip(names, (sums / seen).tolist(), strict=True))
            curves.append({"epoch": epoch + 1} | means)
            states.append({key: value.detach().clone() for key, value in self.state.items()})
        last = states[-p.average_last :]
        self.state = {key: sum(one[key] for one in last) / len(last) for key in last[0]}
        return curves


SETTINGS = {
    "published manifold": {},
    "quick manifold": {
        "standardise": True, "noise": 0.5, "band_unit": "noise", "band": [0.85, 1.1],
        "ascent_steps": 4, "ascent_length": 0.05, "project_every": 2, "average_last": 2,
        "strides": [16], "hard_quantile": 0.3,
    },
    "published hypersphere": {"variant": "hypersphere", "noise": 0.2},
    "standardised hypersphere": {
        "variant": "hypersphere", "standardise": True, "noise": 1.0, "radius_quantile": 0.6,
        "average_last": 9,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_training_equals_the_literal_one(name: str) -> None:
    ours, unit = double(**SETTINGS[name]), tiny_unit().open()
    hypersphere = "hypersphere" in name
    literal = LiteralGlass(ours)
    start = {key: value.clone() for key, value in literal.state.items()}
    run = loop()
    trainer_of(ours).fit(unit, run)
    curves = literal.fit(unit, loop(), hypersphere)
    assert ours.hypersphere == hypersphere
    for mine, expected in zip(run.curves, curves, strict=True):
        assert mine == pytest.approx(expected, rel=1e-9)
    trained = ours.state_dict()
    for key, expected in literal.state.items():
        if "tracked" in key:
            continue  # a count has no mean over epochs; nothing depends on it
        # BatchNorm cancels the first bias of D, so that its gradient is nothing but rounding, which
        # Adam magnifies; the running mean contains that bias.
        tolerance = 1e-8 if key.endswith(("linear.bias", "first.bias", "running_mean")) else 1e-11
        torch.testing.assert_close(trained[key], expected, rtol=0, atol=tolerance)
        assert (trained[key] - start[key]).abs().max() > 1e-4  # everything has learnt
    if ours.params.standardise:
        torch.testing.assert_close(trained["features.mean"], literal.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(trained["features.std"], literal.std, rtol=0, atol=1e-12)
    # The comparison means something: projections clip from below, leave, and clip from above.
    below, inside, above = np.array(literal.clipped).sum(axis=0)
    assert below > 0
    assert name == "published manifold" or min(inside, above) > 0


def test_scores_equal_the_literal_ones() -> None:
    ours = double(epochs=1)
    unit = tiny_unit().open()
    trainer_of(ours).fit(unit, loop())
    literal = LiteralGlass(ours)
    pictures = unit.normals(ours.framing, "val")
    ours.eval()
    maps, scores = ours.score(pictures)
    s = literal.state
    rows = literal.adapt(literal.embed(pictures.float() / 255))
    z = rows @ s["discriminator.first.weight"].T + s["discriminator.first.bias"]
    running = [s[f"discriminator.norm.running_{name}"] for name in ("mean", "var")]
    cells = literal.after_norm(z, *running).view(len(pictures), 8, 8).detach()
    torch.testing.assert_close(scores, cells.flatten(1).amax(dim=1), rtol=0, atol=1e-12)
    large = F.interpolate(cells[:, None], 64, mode="bilinear", align_corners=False)[:, 0]
    for found, one in zip(maps, large.numpy(), strict=True):
        smooth = gaussian_filter(one, 4.0, mode="reflect", truncate=4.0)
        np.testing.assert_allclose(found.detach().numpy(), smooth, rtol=0, atol=1e-6)  # float32
    assert scores.amax() > maps.amax()  # of cells, not of the smoothed map


def test_cached_features_equal_embedding_afresh() -> None:
    ours, unit = double(), tiny_unit().open()
    pictures = unit.normals(ours.framing)
    cached = embed_all(ours.features, pictures.repeat(2, 1, 1, 1), "tiny")  # more than one batch
    assert len(cached) == 22
    for number, picture in enumerate(pictures):
        afresh = ours.features(picture[None].float() / 255)
        for kept in (
            cached.rows(torch.tensor([number])),
            cached.rows(slice(number + 11, number + 12)),
        ):
            torch.testing.assert_close(kept, afresh, rtol=0, atol=1e-12)
    literal = LiteralGlass(ours).embed(pictures.float() / 255).view(11, 8, 8, 16)
    cells = ours.features.embedding.assemble(cached.rows(slice(11)))
    torch.testing.assert_close(cells, literal, rtol=0, atol=1e-12)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("weights", ["images", "batches"])
def test_center_is_the_mean_of_the_adapted_features_of_each_cell(standardise, weights) -> None:
    ours, unit = double(standardise=standardise, center_weights=weights), tiny_unit().open()
    pictures = unit.normals(ours.framing)
    normals = embed_all(ours.features, pictures, "tiny")
    cells = ours.features.cells(pictures.float() / 255)
    if standardise:
        rows = cells.flatten(0, 2)
        torch.testing.assert_close(rows.mean(dim=0), torch.zeros(16).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(rows.std(dim=0), torch.ones(16).double(), atol=1e-9, rtol=0)
    adapted = ours.adaptor(cells).flatten(1, 2)
    batches = list(torch.arange(11).split(4))
    expected = adapted.mean(dim=0)
    if weights == "batches":
        expected = torch.stack([adapted[rows].mean(dim=0) for rows in batches]).mean(dim=0)
        assert (expected - adapted.mean(dim=0)).abs().max() > 1e-4
    center = trainer_of(ours).center(normals.mean(), normals, batches[-1])
    torch.testing.assert_close(center, expected, rtol=0, atol=1e-12)
    assert not center.requires_grad
    assert center.std(dim=0).min() > 0  # one per grid position, not one for all


def test_frozen_features_of_normals_are_computed_once() -> None:
    ours = glass(epochs=4)
    passes: list[int] = []
    backbone = ours.features.backbone
    backbone.register_forward_pre_hook(lambda _, images: passes.append(len(images[0])))
    trainer_of(ours).fit(tiny_unit().open(), loop())
    # 11 normals in one pass; then every step embeds its synthetic images and nothing else.
    assert passes == [11] + [4] * (4 * STEPS)


@pytest.mark.parametrize(
    ("variant", "ascent"), [("manifold", 20), ("hypersphere", 20), ("manifold", 3)]
)
def test_the_discriminator_sees_22_batches_a_step(variant: str, ascent: int) -> None:
    ours = glass(variant=variant, ascent_steps=ascent, epochs=2)
    trainer_of(ours).fit(tiny_unit().open(), loop())
    tracked = ours.discriminator.norm.num_batches_tracked.item()
    assert tracked == (ascent + 2) * STEPS * 2


def test_the_backbone_stays_as_it_was() -> None:
    ours = glass()
    digest = ours.features.backbone.digest()
    trainer_of(ours).fit(tiny_unit().open(), loop())
    assert ours.training
    assert not any(module.training for module in ours.features.backbone.modules())
    assert all(parameter.grad is None for parameter in ours.features.backbone.parameters())
    assert not any(parameter.requires_grad for parameter in ours.features.backbone.parameters())
    assert ours.features.backbone.digest() == digest
    learnt = {name for name, one in ours.named_parameters() if one.grad is not None}
    assert learnt == {
        "adaptor.linear.weight", "adaptor.linear.bias",
        "discriminator.first.weight", "discriminator.first.bias",
        "discriminator.norm.weight", "discriminator.norm.bias",
        "discriminator.tail.weight",
    }  # fmt: skip
    assert not [key for key in ours.state_dict() if "backbone" in key]
    assert ours.facts() == {"backbone_digest": digest, "hypersphere": False}


def framed(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Flat grey; of the margins that the central square cuts off one is bright and one dark."""
    picture = np.full((height, width, 3), 128, np.uint8)
    margin = (width - height) // 2
    picture[:, :margin] = 250 + random.integers(0, 3)
    picture[:, width - margin :] = random.integers(0, 3)
    return picture


def test_judge_takes_the_variant_of_the_mean_squashed_image() -> None:
    compact, loose = write_unit(scratch() / "framed", framed), tiny_unit()
    crop, squash = Framing(64, "crop"), Framing(64, "squash")
    normals = compact.open().normals
    assert judge(mean_image(normals(squash))).hypersphere
    assert not judge(mean_image(normals(crop))).hypersphere  # else the test would prove nothing
    assert not judge(mean_image(loose.open().normals(squash))).hypersphere

    def weights(unit: Any, variant: str) -> bytes:
        out = scratch() / f"{unit.root.name}-{variant}"
        train_model(unit, "glass", out, TINY | {"variant": variant, "epochs": 1})
        assert load_file(out / "model.safetensors")
        return (out / "model.safetensors").read_bytes()

    assert weights(compact, "judge") == weights(compact, "hypersphere")
    assert weights(compact, "judge") != weights(compact, "manifold")
    assert weights(loose, "judge") == weights(loose, "manifold")
