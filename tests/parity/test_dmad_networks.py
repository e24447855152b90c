"""DMAD, `docs/spec/dmad.md` §3 and §12: sizes, and every number of the filled networks."""

import pytest
import torch
from torch import Tensor, nn

from blemish.methods.dmad import plain
from blemish.methods.dmad.fields import length, unwarp_scores
from blemish.methods.dmad.offsets import coordinates
from blemish.methods.dmad.scoring import distance_map
from blemish.methods.trainer import trainer_of
from blemish.nn.smoothing import anomaly_map
from tests.dmad import SIZE, as_image, filled, picture, uniform

# mean, std, min, max, first, last; coordinates and grids were made in float32 there.
PUBLISHED = {
    "warped": (-0.00757338374, 0.706902369, -0.999953724, 0.999835105, 0.0202743953, 0.542684071),
    "coarse": (
        0.00930979698, 0.00183799457, 0.00323362004, 0.0112517628, 0.00472665851, 0.00490326253,
    ),
    "fine": (
        0.00342665963, 0.000877120013, 4.35574442e-05, 0.00501857249, 0.00160717773,
        0.000327453139,
    ),
    "coarse_back": (
        0.00166114764, 0.000547446272, 0.000536527366, 0.0036031305, 0.00199924689, 0.00133133808,
    ),
    "fine_back": (
        0.00212768553, 0.000752125588, 0.000147588952, 0.00467594418, 0.000605646338,
        0.000955015338,
    ),
    "encoder 1": (0.165034937, 0.202261151, 0, 1.51847815, 0.0905511648, 0.456565774),
    "encoder 2": (0.128488476, 0.178664973, 0, 1.10471475, 0.389711034, 0),
    "encoder 3": (0.165784692, 0.2214399, 0, 1.27243279, 0.402070962, 0.537257599),
    "bottleneck": (0.182278503, 0.232290677, 0, 1.29277247, 0.206899908, 0.515053838),
    "plain bottleneck": (0.0862776361, 0.110621728, 0, 0.584288809, 0.146336372, 0.159814815),
    "decoder 1": (0.149304012, 0.189709546, 0, 0.926029662, 0, 0.177432496),
    "decoder 2": (0.0906235157, 0.11814581, 0, 0.651919583, 0.332546738, 0),
    "decoder 3": (0.0960057171, 0.120099665, 0, 0.605763964, 0.163012789, 0.414210271),
    "map": (0.669536482, 0.0365889147, 0.562827754, 0.749809475, 0.691122324, 0.634751349),
    "map back": (0.669486669, 0.0365574262, 0.563932673, 0.749068463, 0.691554062, 0.634751349),
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, Tensor]:
    """Every tensor of the table."""
    model, unquantised = filled(), filled(vq=False)
    with torch.no_grad():
        seen = model(as_image(model, picture()))
        raw = distance_map(seen.encoded, seen.decoded, (SIZE, SIZE))
        tensors = {
            "warped": (seen.warped - model.backbone.mean) / model.backbone.std,
            "bottleneck": model.bottleneck(seen.encoded)[0],
            "plain bottleneck": unquantised.bottleneck(seen.encoded)[0],
            "map": raw,
            "map back": unwarp_scores(raw, seen.fields)[0],
        }
        for name, field in zip(seen.fields._fields, seen.fields, strict=True):
            tensors[name] = length(field)
        for number in range(3):
            tensors[f"encoder {number + 1}"] = seen.encoded[number]
            tensors[f"decoder {number + 1}"] = seen.decoded[number]
    return tensors


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_filled_networks_give_the_published_numbers(
    found: dict[str, Tensor], name: str
) -> None:
    values = found[name].flatten()
    assert values.dtype == torch.float64
    numbers = [values.mean(), values.std(correction=0), values.min(), values.max()]
    numbers += [values[0], values[-1]]
    expected = pytest.approx(PUBLISHED[name], rel=1e-5, abs=1e-9)
    assert [float(number) for number in numbers] == expected


def test_published_shapes(found: dict[str, Tensor]) -> None:
    assert found["encoder 1"].shape == found["decoder 1"].shape == (1, 256, 16, 16)
    assert found["encoder 3"].shape == found["decoder 3"].shape == (1, 1024, 4, 4)
    assert found["bottleneck"].shape == found["plain bottleneck"].shape == (1, 2048, 2, 2)


def test_published_losses_and_code() -> None:
    model, unquantised = filled(), filled(vq=False)
    image = as_image(model, picture())
    with torch.no_grad():
        losses = {name: float(value) for name, value in trainer_of(model).losses(image).items()}
        other = {
            name: float(value) for name, value in trainer_of(unquantised).losses(image).items()
        }
        chosen = model.quantiser.nearest(model(image).encoded[2])
    assert losses == pytest.approx(
        {
            "loss_distance": 0.6755579461, "loss_offset": 0.0135957343247,
            "loss_codes": 0.4502621478,
        },
        rel=1e-6,
    )  # fmt: skip
    assert other == pytest.approx(
        {"loss_distance": 0.5904233362, "loss_offset": 0.0135957343247}, rel=1e-6
    )
    assert chosen.unique().tolist() == [30]


def test_published_smoothed_maps(found: dict[str, Tensor]) -> None:
    model = filled()
    with torch.no_grad():
        fields = model(as_image(model, picture())).fields
    forward = plain.deformation(fields.coarse, fields.fine)
    _, back = unwarp_scores(found["map"], fields)
    maps = [found["map back"], back, forward]
    smooth = anomaly_map(torch.cat(maps, dim=1)[0], (SIZE, SIZE), 4.0)
    highest, mean = smooth.amax(dim=(1, 2)).tolist(), smooth.mean(dim=(1, 2)).tolist()
    assert highest == pytest.approx([0.72942181963, 0.0060817813, 0.0150041999], rel=1e-6)
    assert mean == pytest.approx([0.66948666863, 0.0037883310, 0.0127276790], rel=1e-6)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_parameter_counts() -> None:
    """Without what nothing used: 38,720 in the offset network, 1,050,624 in the bottleneck."""
    model, unquantised = filled(), filled(vq=False)
    assert count(model.backbone) == 24_862_528
    assert count(model.offsets) == 572_040 - 38_720 == 533_320
    assert count(model.bottleneck) == 44_960_512 - 1_050_624
    assert count(unquantised.bottleneck) == 58_885_120
    assert count(model.decoder) == count(unquantised.decoder) == 24_917_504
    first, second = (model.offsets.trunk[number].weight.numel() for number in (0, 3))
    assert (first, second) == (4_032, 39_168)
    assert count(model.offsets.residual) + count(model.offsets.norm) == 41_344
    heads = count(model.offsets.heads)
    assert heads + 2 * count(model.offsets.fine) + 2 * count(model.offsets.coarse) == 2 * (
        75_074 + 149_186
    )


def test_published_coordinates() -> None:
    fine, coarse = coordinates(256, torch.float64, torch.device("cpu"))
    expected = [-1, -0.99215686, -0.98431373, -0.97647059, -1.00037348, -0.99253023]
    assert fine[:6].tolist() == pytest.approx(expected, abs=2e-7)  # published in float32
    # Printed with four decimals.
    assert (fine.min() >= -1.02355, fine.max() <= -0.97645) == (True, True)
    assert coarse.unique().tolist() == pytest.approx(
        torch.linspace(-1, 1, 64, dtype=torch.float64).tolist(), abs=1e-6
    )
    assert coarse[:5].tolist() == pytest.approx([-1, -1, -1, -1, -1 + 2 / 63])


def test_fill_rule() -> None:
    expected = [0.947292210, 0.999174156, 0.808854881, 0.521669646, 0.757655630]
    assert uniform(5).tolist() == pytest.approx(expected, abs=1e-9)
