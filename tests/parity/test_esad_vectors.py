"""ESAD, `docs/spec/esad.md` §12 and §5, in float64; parameter counts.

Networks, reconstruction, score and loss.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from blemish.methods.esad.detector import Esad
from blemish.methods.esad.masks import divide, removed_pixels
from blemish.methods.esad.networks import UNet
from blemish.methods.esad.params import Params
from blemish.methods.esad.smoothing import smoothed_map
from blemish.methods.trainer import trainer_of
from tests.models import new


def hashed(count: int, offset: int) -> Tensor:
    """u(k + offset) of fill rule H for k = 1 … count."""
    low = np.uint64(2**32 - 1)
    h = ((np.arange(1, count + 1, dtype=np.uint64) + np.uint64(offset)) * 0x9E3779B1) & low
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(0x85EBCA6B)) & low
    h ^= h >> np.uint64(13)
    return torch.from_numpy(h / 2**32)


def fill(network: nn.Module, offset: int = 0) -> None:
    state = network.state_dict()
    for key, tensor in state.items():
        k = torch.arange(1, tensor.numel() + 1, dtype=torch.float64)
        if key.endswith("running_mean"):
            values = 0.02 * k.sin()
        elif key.endswith("running_var"):
            values = 1 + 0.1 * k.cos()
        elif key.endswith("bias"):
            values = 0.05 * k.cos()
        elif tensor.ndim == 1:
            values = 1 + 0.1 * k.sin()
        elif tensor.ndim == 4:
            bound = 0.5 * math.sqrt(6 * len(tensor) / tensor.numel())
            values = bound * (2 * hashed(tensor.numel(), offset) - 1)
        else:
            continue  # the number of batches
        tensor.copy_(values.view_as(tensor))
    network.load_state_dict(state)


@pytest.fixture(scope="module")
def esad() -> Esad:
    method = new("esad", Params(weights="random", image_size=64, draws=1)).double().eval()
    fill(method.inpainter, offset=1_000_003)
    fill(method.reconstructor)
    fill(method.backbone.network)
    method.parts_4.copy_(divide((37 * torch.arange(256) + 11) % 256).view(1, 16, 16))
    return method


@pytest.fixture(scope="module")
def x() -> Tensor:
    axes = [torch.arange(length, dtype=torch.float64) for length in (2, 3, 64, 64)]
    b, c, i, j = torch.meshgrid(*axes, indexing="ij")
    return torch.sin(0.07 * i + 0.11 * j + 0.9 * c + 1.3 * b)


@pytest.fixture(scope="module")
def removed(esad: Esad) -> Tensor:
    return removed_pixels(esad.parts_4[0], 4)


@pytest.fixture(scope="module")
def tensors(esad: Esad, x: Tensor, removed: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        trained, inpainted = esad.reconstruct(x, removed, leak=0.0)
        tested, _ = esad.reconstruct(x, removed, leak=0.5)
        difference = esad.differences(x)
        return {
            "G(x)": esad.reconstructor(x),
            "rec, training fill": trained,
            "pre": inpainted,
            "rec, test fill": tested,
            "feature difference": difference,
            "smoothed map": smoothed_map(difference, (64, 64), 21),
        }


# mean, population deviation, least, largest, first, last
PUBLISHED = {
    "G(x)": (0.133604208, 0.137214955, -0.12674556, 0.435693727, 0.00370804063, 0.13137707),
    "rec, training fill": (
        0.0884593604, 0.0994331035, -0.159331873, 0.37193568, 0.0229124414, 0.0692454173,
    ),
    "pre": (-0.0227289547, 0.0450056023, -0.18939819, 0.131853256, -0.0319929141, 0.027252446),
    "rec, test fill": (
        0.108325783, 0.112204096, -0.108155513, 0.393338167, 0.0188983877, 0.0947449564,
    ),
    "feature difference": (
        0.109513593, 0.012455128, 0.0771438137, 0.1376366, 0.102961371, 0.105768594,
    ),
    "smoothed map": (
        0.0927652784, 0.0225793615, 0.026482922, 0.123444171, 0.0327091103, 0.0284374225,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_vectors(tensors: dict[str, Tensor], name: str) -> None:
    found = tensors[name]
    flat = found.flatten()
    summary = (found.mean(), found.std(correction=0), *found.aminmax(), flat[0], flat[-1])
    assert [float(one) for one in summary] == pytest.approx(PUBLISHED[name], rel=5e-9)


def test_kept_pixels_of_each_mask(removed: Tensor) -> None:
    assert (~removed).flatten(1).sum(dim=1).tolist() == [2720, 2736, 2736]


def test_image_scores(tensors: dict[str, Tensor]) -> None:
    scores = tensors["smoothed map"].amax(dim=(1, 2))
    assert scores.tolist() == pytest.approx([0.12266232641, 0.12344417102], abs=5e-12)


def test_loss_and_its_parts(
    esad: Esad, x: Tensor, removed: Tensor, tensors: dict[str, Tensor]
) -> None:
    with torch.no_grad():
        embed = esad.backbone.embed
        losses = trainer_of(esad).losses(x, embed(x), removed)
        assert float(sum(losses.values())) == pytest.approx(21.592977883928, abs=1e-11)
        parts = []
        for made in (tensors["rec, training fill"], tensors["pre"]):
            parts.append(float((made - x).square().mean()))
            parts.append(float((embed(made) - embed(x)).square().mean()))
    published = [0.5322071312, 0.0327423931, 0.5132373464, 0.0356664401]
    assert parts == pytest.approx(published, abs=5e-11)
    expected = [20 * parts[0] + 10 * parts[1], 20 * parts[2] + 10 * parts[3]]
    assert [float(one) for one in losses.values()] == pytest.approx(expected, rel=1e-12)


def count(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def test_parameter_counts(esad: Esad) -> None:
    network = esad.reconstructor
    assert count(network.first) == 1_856
    assert [count(one) for one in network.down] == [27_904, 104_960, 406_528, 547_840]
    assert [count(one) for one in network.up] == [2_122_240, 798_976, 202_880, 52_288]
    assert count(network.last) == 1_728
    assert count(esad.inpainter) == count(network) == 4_267_200
    assert count(esad.backbone.network) == 643_904
    assert sum(one.numel() for one in esad.parameters() if one.requires_grad) == 8_534_400


def test_sizes_of_the_stages_at_128_pixels() -> None:
    network, sizes = UNet().eval(), []
    for stage in (network.first, *network.down, *network.up, network.last):
        stage.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
    with torch.no_grad():
        made = network(torch.zeros(1, 3, 128, 128))
    assert sizes == [
        *((64, 128, 128), (128, 64, 64), (256, 32, 32), (512, 16, 16), (512, 8, 8)),
        *((512, 16, 16), (256, 32, 32), (128, 64, 64), (64, 128, 128), (3, 128, 128)),
    ]
    assert made.shape == (1, 3, 128, 128)
    assert made.abs().max() <= 1


def test_initial_weights() -> None:
    network = UNet(generator=torch.Generator().manual_seed(0))
    weights = torch.cat([one.flatten() for one in network.parameters() if one.ndim == 4])
    assert weights.mean().item() == pytest.approx(0, abs=5e-5)
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    scales = torch.cat([one.weight for one in norms]).detach()
    assert scales.mean().item() == pytest.approx(1, abs=0.002)
    assert scales.std().item() == pytest.approx(0.02, rel=0.05)
    assert all((one.bias == 0).all() for one in norms)
