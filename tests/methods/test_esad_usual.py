"""ESAD's differences, measured in what is usual at each place of a unit's normals."""

import torch

from blemish.methods.esad.detector import symmetric
from blemish.methods.esad.params import Params
from blemish.methods.esad.usual import Usual
from blemish.methods.saved import load
from tests.esad import SECTION
from tests.methods.tiny import CPU, pictures
from tests.models import new
from tests.units import tiny_unit, train_model


def normals(count: int = 40) -> torch.Tensor:
    """Differences (N, 2, 8, 8): the left half differs ten times as much, channel 1 five times."""
    generator = torch.Generator().manual_seed(0)
    differences = torch.rand(count, 2, 8, 8, generator=generator)
    differences[..., :4] *= 10
    differences[:, 1] *= 5
    return differences


def test_what_is_usual_at_its_place_is_quiet_and_the_same_elsewhere_is_loud() -> None:
    usual, seen = Usual(2, 8, 8), normals()
    usual.learn(seen)
    image = seen.mean(dim=0, keepdim=True)
    image[0, 0, 4, 1] = image[0, 0, 4, 6] = 12.0  # of channel 0, as on the left; not on the right
    found = usual(image)[0]
    assert found[4, 6] > 3 * found[4, 1]
    assert found[4, 6] == found.max()


def test_channels_count_by_their_own_deviation() -> None:
    usual, seen = Usual(2, 8, 8), normals()
    usual.learn(seen)
    found = []
    for channel, more in ((0, 2.0), (1, 10.0)):  # five times as much of what differs five times
        image = seen.mean(dim=0, keepdim=True).clone()
        image[0, channel, 3, 6] += more
        found.append(float(usual(image)[0, 3, 6]))
    assert 0.5 < found[0] / found[1] < 2


def test_less_than_usual_is_no_anomaly() -> None:
    usual, seen = Usual(2, 8, 8), normals()
    usual.learn(seen)
    assert (usual(torch.zeros(1, 2, 8, 8)) == 0).all()


def test_normals_that_are_all_alike_leave_finite_scores() -> None:
    usual = Usual(2, 8, 8)
    usual.learn(torch.zeros(3, 2, 8, 8))
    assert torch.isfinite(usual(normals(1))).all()
    half = torch.zeros(3, 2, 8, 8)
    half[:, 0] = normals(3)[:, 0]  # the other channel never differs
    usual.learn(half)
    assert torch.isfinite(usual(normals(1))).all()


def test_the_published_form_learns_nothing_of_it() -> None:
    assert Params().usual_from == 0
    detector = new("esad", Params(**SECTION))
    assert detector.usual is None
    assert not [name for name in detector.state_dict() if name.startswith("usual")]


def test_training_learns_it_from_training_normals_and_a_model_keeps_it(tmp_path) -> None:
    out = tmp_path / "esad-0"
    train_model(tiny_unit(), "esad", out, SECTION | {"usual_from": 4})
    detector, _ = load(out, CPU)
    assert detector.usual.mean.abs().sum() > 0
    assert len(detector.usual.deviation.unique()) > 10
    image = pictures("esad")[:1]
    plain = detector.differences(symmetric(image))
    with torch.no_grad():
        assert not torch.allclose(detector.measure(image).cells[0, ::4, ::4], plain[0].double())
