"""DSARAD's pixels: the contrast that its networks see, and the light that normals are shown in."""

import pytest
import torch

from blemish.methods.dsarad.method import Dsarad
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.pixels import CONTRAST, Pixels
from blemish.params import TrainingParams
from blemish.training import Loop
from tests.unit.test_dsarad import new_draws
from tests.units import tiny_unit


def display() -> torch.Tensor:
    """A unit of little contrast: 5 pictures of deviation about 3 around another level a channel."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([100.0, 120.0, 140.0])[:, None, None]
    noise = 3 * torch.randn(5, 1, 40, 30, generator=generator)
    return (levels + noise).round().clamp(0, 255).to(torch.uint8)


def measured(standardise: bool = True) -> Pixels:
    pixels = Pixels(standardise)
    pixels.measure(display())
    return pixels


def test_the_measure_is_the_normals_mean_and_deviation() -> None:
    pixels, shares = measured(), display().double() / 255
    mean = shares.mean(dim=(0, 2, 3))
    assert torch.allclose(pixels.mean[:, 0, 0].double(), mean, rtol=1e-6)
    deviation = (shares - mean[:, None, None]).square().mean().sqrt()
    assert float(pixels.deviation) == pytest.approx(float(deviation), rel=1e-5)


def test_the_unit_has_the_same_contrast_as_any_other_and_comes_back() -> None:
    pixels, shares = measured(), display().double() / 255
    seen = pixels(shares)
    assert seen.dtype == torch.float64
    assert float(seen.mean()) == pytest.approx(0.5, abs=1e-5)
    assert float((seen - 0.5).square().mean().sqrt()) == pytest.approx(CONTRAST, rel=1e-3)
    assert torch.allclose(pixels.inverse(seen), shares, atol=1e-6)
    assert pixels(torch.ones(1, 3, 4, 4)).max() == 1  # far beyond is cut off
    assert pixels(torch.zeros(1, 3, 4, 4)).min() == 0


def test_published_pixels_are_as_they_are() -> None:
    pixels, shares = measured(standardise=False), display().double() / 255
    assert pixels(shares) is shares
    assert pixels.inverse(shares) is shares


def test_a_unit_without_contrast_divides_by_no_zero() -> None:
    pixels = Pixels(standardise=True)
    flat = torch.full((2, 3, 8, 8), 90, dtype=torch.uint8)
    pixels.measure(flat)
    assert torch.allclose(pixels(flat / 255), torch.tensor(0.5), atol=1e-5)


def test_light_is_a_plane_within_its_reach_and_a_seed_decides() -> None:
    pixels, seeds = measured(), torch.arange(200)
    light = pixels.shading(seeds, 16, 2.0)
    assert light.shape == (200, 1, 16, 16)
    unit = 2.0 * float(pixels.deviation)
    assert torch.allclose(light.diff(n=2, dim=-1), torch.zeros(()).double(), atol=1e-12)
    assert torch.allclose(light.diff(n=2, dim=-2), torch.zeros(()).double(), atol=1e-12)
    middle = light.mean(dim=(1, 2, 3))
    slopes = (light[..., -1] - light[..., 0]).mean(dim=(1, 2)) / 2
    for found in (middle, slopes):
        assert float(found.abs().max()) <= unit
        assert float(found.abs().max()) > 0.9 * unit
        assert abs(float(found.mean())) < 0.15 * unit
    assert torch.equal(pixels.shading(seeds[7:9], 16, 2.0), light[7:9])


def test_clean_and_defective_pictures_lie_in_the_same_light() -> None:
    """Outside its mask a defective picture is the clean one: the normal in another light."""
    plain, lit = (new_draws(batch_size=11, shading=one) for one in (0, 3.0))
    ((dark, _, _),) = plain.synthetic(0, torch.float64)
    ((images, corrupted, masks),) = lit.synthetic(0, torch.float64)
    assert masks.any()
    for x, a, m, normal in zip(images, corrupted, masks, dark, strict=True):
        assert torch.allclose(a[:, ~m], x[:, ~m], atol=1e-6)  # defects are drawn in float32
        light = x - normal
        assert torch.allclose(light.diff(n=2, dim=-1), torch.zeros(()).double(), atol=1e-9)
    assert len({round(float((x - n).mean()), 6) for x, n in zip(images, dark, strict=True)}) == 11
    (clean,) = lit.clean(0, torch.float64)
    assert torch.equal(clean, images)  # the same rows of the same epoch


def standardised(seed: int) -> Dsarad:
    networks = {"width": 4, "segmenter_width": 4, "image_size": 64}
    return Dsarad(Params(**networks, epochs=1, standardise=True, shading=1), seed)


def test_a_model_keeps_its_contrast() -> None:
    model = standardised(0)
    model.fit(tiny_unit().open(), Loop(TrainingParams(device="cpu", threads=1), 0, "tiny"))
    kept = standardised(1)
    kept.load_state_dict(model.state_dict())
    images = tiny_unit().open().normals(model.framing)[:3]
    scores = []
    for one in (model, kept):
        one.eval()
        with torch.no_grad():
            scores.append(one.score(images)[0])
    assert torch.equal(*scores)
    assert torch.equal(kept.pixels.mean, model.pixels.mean)
    assert 0 < float(kept.pixels.deviation) < 0.5


def test_a_reconstruction_is_shown_with_the_pictures_own_contrast() -> None:
    """A student that returns what it sees shows the picture."""
    model = standardised(0)
    images = display()[:, :, :32, :16]
    model.pixels.measure(images)
    model.student.forward = lambda seen: (seen, [])
    shown = model.views(images)["reconstruction"]
    assert torch.equal(shown, images)
