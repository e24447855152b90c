"""DSARAD's own parts: schedules at any number of epochs, rotation, what is drawn, parameters."""

import numpy as np
import pytest
import torch
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import TrainingParams, load_params
from blemish.images.framing import Framing
from blemish.methods.dsarad import draws as draws_module
from blemish.methods.dsarad.draws import Draws, rotated
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.pixels import InputNormalisation
from blemish.methods.loop import Loop
from tests.methods.tiny import TINY
from tests.models import new
from tests.units import params_folder, tiny_unit


def decays(epochs: int, **changes: object) -> list[int]:
    p = Params(epochs=epochs, **changes)
    rates = [p.rate(number, epochs) for number in range(epochs)]
    assert rates[0] == p.learning_rate
    found = [number for number in range(1, epochs) if rates[number] != rates[number - 1]]
    for step, number in enumerate(found, 1):
        assert rates[number] == pytest.approx(p.learning_rate * p.decay**step)
    return found


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1000, [200, 400, 600, 800]),
        (800, [160, 320, 480, 640]),
        (700, [140, 280, 420, 560]),
        (702, [140, 281, 421, 562]),  # published: never
        (60, [12, 24, 36, 48]),
        (12, [2, 5, 7, 10]),
    ],
)
def test_the_rate_decays_at_whole_epochs_whatever_their_number(epochs, expected) -> None:
    assert decays(epochs) == expected


def test_milestones_are_parameters() -> None:
    assert decays(10, milestones=[0.5], decay=0.1) == [5]
    assert decays(10, milestones=[]) == []


@pytest.mark.parametrize(
    ("epochs", "passes", "first"),
    [(1000, 10, 50), (700, 7, 50), (702, 7, 50), (199, 1, 50), (99, 1, 50), (20, 1, 20)],
)
def test_the_teacher_learns_at_any_number_of_epochs(epochs, passes, first) -> None:
    p = Params(epochs=epochs)  # published: no pass at all below 100 epochs
    assert (p.passes, p.first_epochs) == (passes, first)
    assert Params(epochs=epochs, teacher_passes=3).passes == 3


def test_the_published_teacher_decays_at_its_passes_200_and_400() -> None:
    p = Params()
    total = p.first_epochs * p.passes
    assert total == 500
    rates = [p.rate(number, 2 * total) for number in range(total)]
    changes = [n for n in range(1, total) if rates[n] != rates[n - 1]]
    assert changes == [200, 400]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score_boxes": [3, 4]}, "score_boxes.*odd"),
        ({"score_boxes": []}, "score_boxes"),
        ({"image_size": 100}, "image_size.*multiple of 32"),
        ({"image_size": 32}, "image_size.*greater than or equal to 64"),
        ({"milestones": [0.2, 1.5]}, "milestones.*less than 1"),
        ({"kinds": {"dsaard": 1}}, "did you mean 'dsarad'"),
    ],
)
def test_wrong_parameters_are_named(change, message) -> None:
    with params_folder({"dsarad": change}), pytest.raises(UserError, match=message):
        load_params()


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(40, 3, 6, 9, generator=generator)
    large = torch.nn.functional.interpolate(small, (48, 70), mode="bicubic").clamp(0, 1)
    return (large * 255).round().to(torch.uint8)


def test_a_share_of_the_images_is_rotated_by_up_to_ninety_degrees() -> None:
    images, seeds = pictures(), torch.arange(40)
    before = images.clone()
    found, _ = rotated(images, None, seeds, 0.3)
    assert torch.equal(images, before)
    changed = (found != images).flatten(1).any(dim=1)
    assert 5 <= int(changed.sum()) <= 20
    again, _ = rotated(images[7:20], None, seeds[7:20], 0.3)
    assert torch.equal(again, found[7:20])  # a seed alone decides
    assert rotated(images, None, seeds, 0.0)[0] is images
    chance, angle = draws_module.uniforms(torch.arange(4000), draws_module.STREAM, 2).unbind(1)
    assert float((chance < 0.3).double().mean()) == pytest.approx(0.3, abs=0.025)
    row = int(changed.nonzero()[0])
    degrees = (float(angle[row]) - 0.5) * 180
    picture = Image.fromarray(images[row].permute(1, 2, 0).numpy())
    expected = np.asarray(picture.rotate(degrees, Image.Resampling.BILINEAR)).astype(int)
    difference = np.abs(found[row].permute(1, 2, 0).numpy().astype(int) - expected)
    assert np.median(difference) <= 1  # OpenCV and Pillow differ in the border's last half pixel
    assert np.quantile(difference, 0.95) <= 4
    # Square angles of the whole range occur, and corners turn black.
    assert float((angle[:400] * 180 - 90).abs().max()) > 85


def test_the_foreground_turns_with_its_image() -> None:
    images, seeds = pictures(), torch.arange(40)
    bright = images[:, 0] > 128
    images = (bright[:, None] * 255).expand(-1, 3, -1, -1).to(torch.uint8)
    found, inside = rotated(images, bright, seeds, 1.0)
    assert inside is not None
    assert (found[:, 0] > 128).ne(inside).double().mean() < 0.03


def new_draws(**changes: object) -> Draws:
    unit = tiny_unit().open()
    p = Params(image_size=64, **changes)
    loop = Loop(TrainingParams(device="cpu", threads=1), 0, "tiny")
    images = unit.normals(Framing.square(64, "squash"))
    pixels = InputNormalisation(p.flat_field, (p.image_size, p.image_size))
    pixels.measure(images)
    return Draws(unit.with_kinds(p.kinds), images, None, p, pixels, loop)


def test_passes_take_whole_batches_of_images_once_each() -> None:
    draws = new_draws(rotation=0)
    batches = list(draws.clean(0, torch.float64))
    assert [batch.shape for batch in batches] == [(4, 3, 64, 64)] * 2  # of 11, three are left out
    assert batches[0].dtype == torch.float64
    known = {picture.numpy().tobytes() for picture in draws.images}
    shown = [(one * 255).round().to(torch.uint8).numpy().tobytes() for b in batches for one in b]
    assert len(set(shown)) == 8
    assert set(shown) <= known
    assert len(list(new_draws(batch_size=64).clean(0, torch.float32))) == 1
    assert len(list(new_draws(images_per_epoch=3).clean(0, torch.float32))) == 1


def test_the_student_sees_its_own_defects_and_about_half_of_its_images_clean() -> None:
    draws = new_draws(batch_size=11)
    clean = []
    for number in range(8):
        ((images, corrupted, masks),) = draws.synthetic(number, torch.float32)
        for x, a, m in zip(images, corrupted, masks, strict=True):
            assert torch.equal(a[:, ~m], x[:, ~m])
            clean.append(torch.equal(a, x))
            assert clean[-1] or m.any()
    assert 0.3 < np.mean(clean) < 0.7


def test_the_teachers_passes_synthesise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(draws_module, "render", refuse)
    draws = new_draws(rotation=1.0)
    (first, _), (other, _) = (list(draws.clean(number, torch.float32)) for number in (0, 1))
    assert not torch.equal(first, other)
    with pytest.raises(AssertionError):
        list(draws.synthetic(0, torch.float32))


@pytest.mark.parametrize(("flat", "boxes"), [(True, (3, 7)), (False, (21, 41))])
def test_boxes_follow_whether_parts_lie_alike(flat: bool, boxes: tuple[int, int]) -> None:
    model = new("dsarad", Params(**TINY["dsarad"].params | {"score_boxes": "auto"}))
    model.pixels = InputNormalisation("auto", model.framing.window)
    model.pixels.flat.fill_(flat)
    assert tuple(model.boxes) == boxes
    height, width = model.framing.window
    cells = model.eval().measure(torch.zeros(1, 3, height, width, dtype=torch.uint8)).cells
    assert cells.shape == (1, 2, height, width)
