"""GLASS as a whole, `docs/spec/glass.md` §§4–12: training equals its plain form in float64."""

import pytest
import torch
from torch import Tensor

from blemish.methods.glass import plain
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.feature_cache import embed_all
from blemish.methods.normals import Normals
from blemish.methods.trainer import trainer_of
from tests.glass import double, loop
from tests.units import tiny_unit

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


@pytest.fixture
def clipped(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """For each projection of the plain form how many rows are too short, inside, and too long."""
    seen: list[Tensor] = []
    clip = plain.clip

    def watched(lengths: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        short, long = lengths < low, lengths > high
        seen.append(torch.stack([short.sum(), (~(short | long)).sum(), long.sum()]))
        return clip(lengths, low, high)

    monkeypatch.setattr(plain, "clip", watched)
    return seen


@pytest.mark.parametrize("name", SETTINGS)
def test_training_equals_the_plain_form(name: str, clipped: list[Tensor]) -> None:
    ours, unit, hypersphere = double(**SETTINGS[name]), tiny_unit().open(), "hypersphere" in name
    theirs = plain.Plain(ours.params).with_weights(ours.adaptor, ours.discriminator)
    start = [value.clone() for value in theirs.state_dict().values()]
    run = loop()
    trainer_of(ours).fit(unit, run)
    network = ours.features.backbone.network
    training = plain.Training(theirs, network, unit, loop(), hypersphere)
    curves = training.fit()
    assert ours.hypersphere == hypersphere
    for curve, expected in zip(run.curves, curves, strict=True):
        assert curve == pytest.approx(expected, rel=1e-9)
    trained = ours.adaptor.state_dict(prefix="adaptor.") | ours.discriminator.state_dict()
    for (key, value), expected, before in zip(
        trained.items(), theirs.state_dict().values(), start, strict=True
    ):
        if "tracked" in key:
            continue  # a count has no mean over epochs; nothing depends on it
        # BatchNorm cancels the first bias of D, so that its gradient is nothing but rounding, which
        # Adam magnifies; the running mean contains that bias.
        tolerance = 1e-8 if key.endswith(("linear.bias", "first.bias", "running_mean")) else 1e-11
        torch.testing.assert_close(value, expected, rtol=0, atol=tolerance)
        assert (value - before).abs().max() > 1e-4  # everything has learnt
    if ours.params.standardise:
        torch.testing.assert_close(ours.features.mean, training.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.features.std, training.std, rtol=0, atol=1e-12)
    # The comparison means something: projections clip from below, leave, and clip from above.
    below, inside, above = torch.stack(clipped).sum(dim=0)
    assert below > 0
    assert name == "published manifold" or min(inside, above) > 0


def test_scores_equal_those_of_the_plain_form() -> None:
    ours = double(epochs=1)
    unit = tiny_unit().open()
    trainer_of(ours).fit(unit, loop())
    theirs = plain.Plain(ours.params).with_weights(ours.adaptor, ours.discriminator).eval()
    pictures = unit.normals(ours.framing, "val")[:]
    ours.eval()
    maps, scores = ours.score(pictures)
    features = embed(ours, pictures)
    cells = theirs.discriminator(theirs.adaptor(features).flatten(0, 2)).detach()
    cells = cells.view(len(pictures), 8, 8)
    torch.testing.assert_close(scores, cells.flatten(1).amax(dim=1), rtol=0, atol=1e-12)
    expected = plain.anomaly_maps(cells, (64, 64), 4.0)
    torch.testing.assert_close(maps.double(), expected, rtol=0, atol=1e-6)  # float32
    assert scores.amax() > maps.amax()  # of cells, not of the smoothed map


def embed(ours: Glass, pictures: Tensor) -> Tensor:
    """The plain form's features of uint8 images, (B, h, w, C)."""
    images = (pictures.float() / 255).double()
    return plain.embed(ours.features.backbone.network, images, ours.params)


def test_cached_features_equal_embedding_afresh() -> None:
    ours, unit = double(), tiny_unit().open()
    pictures = unit.normals(ours.framing)[:]
    twice = Normals.whole(pictures.repeat(2, 1, 1, 1))
    cached = embed_all(ours.features, twice, "tiny")  # more than one batch
    assert len(cached) == 22
    for number, picture in enumerate(pictures):
        afresh = ours.features(picture[None].float() / 255)
        for kept in (
            cached.rows(torch.tensor([number])),
            cached.rows(slice(number + 11, number + 12)),
        ):
            torch.testing.assert_close(kept, afresh, rtol=0, atol=1e-12)
    cells = ours.features.embedding.assemble(cached.rows(slice(11)))
    torch.testing.assert_close(cells, embed(ours, pictures), rtol=0, atol=1e-12)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("weights", ["images", "batches"])
def test_center_is_the_mean_of_the_adapted_features_of_each_cell(standardise, weights) -> None:
    ours, unit = double(standardise=standardise, center_weights=weights), tiny_unit().open()
    pictures = unit.normals(ours.framing)
    normals = embed_all(ours.features, pictures, "tiny")
    cells = ours.features.cells(pictures[:].float() / 255)
    if standardise:
        rows = cells.flatten(0, 2)
        torch.testing.assert_close(rows.mean(dim=0), torch.zeros(16).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(rows.std(dim=0), torch.ones(16).double(), atol=1e-9, rtol=0)
    batches = list(torch.arange(11).split(4))
    theirs = plain.Plain(ours.params).with_weights(ours.adaptor, ours.discriminator)
    expected = overall = theirs.center([cells])
    if weights == "batches":
        expected = theirs.center(cells[rows] for rows in batches)
        assert (expected - overall).abs().max() > 1e-4
    center = trainer_of(ours).center(normals.mean(), normals, batches[-1])
    torch.testing.assert_close(center, expected, rtol=0, atol=1e-12)
    assert not center.requires_grad
    assert center.std(dim=0).min() > 0  # each grid position has a centre, not all the same
