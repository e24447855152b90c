"""DSARAD's pixels: what its networks see when the unit's field is made flat."""

import numpy as np
import pytest
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, load_params
from blemish.methods.dsarad.detector import Dsarad
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.pixels import CONTRAST, FAR, InputNormalisation, plane
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.trainer import trainer_of
from tests.models import new
from tests.units import params_folder, tiny_unit

SIDE = 40


def light(constant: float, across: float, down: float) -> Tensor:
    """A plane (SIDE, SIDE); the slopes are what it gains from the middle to a border."""
    ramp = torch.linspace(-1, 1, SIDE, dtype=torch.float64)
    return constant + across * ramp + down * ramp[:, None]


def displays(count: int = 6, noise: float = 1.0) -> Tensor:
    """uint8 normals: one vignette, another light on each, faint noise, channels at three levels."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([100.0, 120.0, 140.0], dtype=torch.float64)[:, None, None]
    ramp = torch.linspace(-1, 1, SIDE, dtype=torch.float64)
    vignette = -12 * (ramp**2 + ramp[:, None] ** 2)
    planes = 20 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 10
    lights = torch.stack([light(*one.tolist()) for one in planes])[:, None]
    drawn = noise * torch.randn(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return (levels + vignette + lights + drawn).round().clamp(0, 255).to(torch.uint8)


def measured(flat_field: bool = True) -> InputNormalisation:
    pixels = InputNormalisation(flat_field, (SIDE, SIDE))
    pixels.measure(Normals.whole(displays()))
    return pixels


def test_a_plane_is_that_of_least_squares() -> None:
    picture = torch.rand(2, 3, 17, 9, generator=torch.Generator().manual_seed(1)).double()
    ys, xs = np.mgrid[:17, :9]
    design = np.stack([np.ones(17 * 9), ys.ravel(), xs.ravel()], axis=1)
    expected = design @ np.linalg.lstsq(design, picture.view(6, -1).numpy().T, rcond=None)[0]
    assert np.allclose(plane(picture).view(6, -1).numpy().T, expected, atol=1e-12)


def test_of_normals_nothing_is_left_but_their_noise() -> None:
    """Light and vignette, ten times the noise, are gone; the noise has the agreed contrast."""
    pixels, shares = measured(), displays().double() / 255
    seen = pixels(shares)
    assert seen.dtype == torch.float64
    assert float(pixels.deviation) * 255 == pytest.approx(1, rel=0.15)
    assert float(seen.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(seen.std()) == pytest.approx(CONTRAST, rel=0.02)
    assert torch.allclose(pixels.inverse(seen, shares), shares, atol=1e-6)


def test_other_light_is_not_seen() -> None:
    pixels, shares = measured(), displays().double()[:1] / 255
    lit = shares + light(0.05, -0.1, 0.07)
    assert torch.allclose(pixels(lit), pixels(shares), atol=2e-3)  # of 0.1, the noise


def test_a_strong_defect_darkens_nothing_beside_it() -> None:
    """The plane of least squares would be a deviation off all over the picture."""
    pixels, shares = measured(), displays().double()[:1] / 255
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[2:14, 3:15] = True
    defective = torch.where(mask, shares + 0.2, shares)
    least_squares = (plane(defective) - plane(shares)).abs().mean() / pixels.deviation
    assert float(least_squares) > 3
    moved = (pixels(defective) - pixels(shares))[0, :, ~mask].abs().max() / CONTRAST
    assert float(moved) < 1.5
    assert (pixels(defective)[0, :, mask] == 1).all()  # far beyond is cut off


def test_light_has_converged() -> None:
    """Winsorised by it, what is left has no plane: the equation of Huber's estimate."""
    pixels, shares = measured(), displays().double()[:1] / 255
    shares[..., 5:15, 5:15] += 0.3
    far = FAR * float(pixels.deviation)
    left = plane((shares - pixels.normal - pixels.light(shares)).clamp(-far, far))
    assert float(left.abs().max() / pixels.deviation) < 0.01


def test_published_pixels_are_as_they_are() -> None:
    pixels, shares = measured(flat_field=False), displays().double() / 255
    assert pixels(shares) is shares
    assert pixels.inverse(shares, shares) is shares
    assert pixels.state_dict() == {}


def test_a_unit_without_contrast_divides_by_no_zero() -> None:
    pixels = InputNormalisation(True, (8, 8))
    flat = torch.full((2, 3, 8, 8), 90, dtype=torch.uint8)
    pixels.measure(Normals.whole(flat))
    assert torch.allclose(pixels(flat / 255), torch.tensor(0.5), atol=1e-3)


@pytest.mark.parametrize(("turned", "flat"), [(False, True), (True, False)])
def test_whether_parts_lie_alike_is_looked_at(turned: bool, flat: bool) -> None:
    """A bar in the middle of every picture, or in every one at another place."""
    images = displays(12)
    for number, image in enumerate(images):
        start = 2 + 3 * number if turned else 18
        image[:, :, start : start + 4] += 80
    pixels = InputNormalisation("auto", (SIDE, SIDE))
    pixels.measure(Normals.whole(images))
    assert pixels.is_flat is flat
    shares = images / 255
    assert torch.equal(pixels(shares), shares) is not flat
    kept = InputNormalisation("auto", (SIDE, SIDE))
    kept.load_state_dict(pixels.state_dict())
    assert torch.equal(kept(shares), pixels(shares))


def flattened(seed: int) -> Dsarad:
    networks = {"width": 4, "segmenter_width": 4, "image_size": 64}
    return new("dsarad", Params(**networks, epochs=1, rotation=0, flat_field=True), seed)


def test_a_model_keeps_its_field() -> None:
    model = flattened(0)
    trainer_of(model).fit(
        tiny_unit().open(), Loop(TrainingParams(device="cpu", threads=1), 0, "tiny")
    )
    kept = flattened(1)
    kept.load_state_dict(model.state_dict())
    images = tiny_unit().open().normals(model.framing)[:3]
    scores = []
    for one in (model, kept):
        one.eval()
        with torch.no_grad():
            scores.append(one.score(images)[0])
    assert torch.equal(*scores)
    assert torch.equal(kept.pixels.normal, model.pixels.normal)
    assert 0 < float(kept.pixels.deviation) < 0.5


def test_a_reconstruction_is_shown_in_the_pictures_own_light() -> None:
    """A student that returns what it sees shows the picture."""
    model = new(
        "dsarad", Params(width=2, segmenter_width=2, image_size=64, rotation=0, flat_field=True), 0
    )
    images = torch.nn.functional.pad(displays(noise=0.2), (0, 24, 0, 24), mode="replicate")
    model.pixels.measure(Normals.whole(images))
    model.student.forward = lambda seen: (seen, [])
    shown = model.views(images)["reconstruction"].int() - images.int()
    assert float((shown.abs() > 1).double().mean()) < 0.01  # but for what was cut off


def test_turned_normals_have_no_common_field() -> None:
    changes = {"dsarad": {"rotation": 0.3, "flat_field": True}}
    with params_folder(changes), pytest.raises(UserError, match="set rotation to 0, or flat_field"):
        load_params()
