"""GLASS's maps, `docs/spec/glass.md` §12: smoothing vectors, the image score from raw cells."""

import pytest
import torch

from blemish.methods.glass import plain
from blemish.nn.smoothing import anomaly_map
from tests.glass import glass


def impulse(row: int, column: int) -> torch.Tensor:
    cells = torch.zeros(1, 36, 36, dtype=torch.float64)
    cells[0, row, column] = 1
    return cells


@pytest.mark.parametrize(
    ("cell", "raw", "smooth"), [((18, 18), 0.878906, 0.367219), ((0, 0), 1.0, 0.836539)]
)
def test_impulse_vectors(cell: tuple[int, int], raw: float, smooth: float) -> None:
    assert anomaly_map(impulse(*cell), (288, 288), 0).max().item() == pytest.approx(raw, abs=5e-7)
    peak = anomaly_map(impulse(*cell), (288, 288), 4).max().item()
    assert peak == pytest.approx(smooth, abs=5e-7)


@pytest.mark.parametrize(
    ("grid", "size", "sigma"),
    [
        ((36, 36), (288, 288), 4.0),
        ((18, 18), (288, 288), 1.0),
        ((7, 9), (61, 100), 2.5),
        ((4, 4), (9, 9), 4.0),  # the kernel is wider than the map and is mirrored repeatedly
        ((64, 64), (64, 64), 4.0),
        ((30, 30), (21, 50), 1.0),
    ],
)
def test_equals_interpolation_followed_by_scipy(grid, size, sigma) -> None:
    cells = torch.rand(2, *grid, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = plain.anomaly_maps(cells, size, sigma)
    assert expected.shape == (2, *size)
    torch.testing.assert_close(anomaly_map(cells, size, sigma), expected, rtol=0, atol=1e-12)


def test_single_precision_stays_within_rounding() -> None:
    cells = torch.rand(2, 36, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    single = anomaly_map(cells.float(), (288, 288), 4)
    assert single.dtype == torch.float32
    assert (single - anomaly_map(cells, (288, 288), 4)).abs().max() < 1e-6


def test_a_map_does_not_depend_on_the_batch_it_came_in() -> None:
    cells = torch.rand(9, 36, 36, generator=torch.Generator().manual_seed(0))
    together = anomaly_map(cells, (288, 288), 4)
    for index in range(9):
        alone = anomaly_map(cells[index : index + 1], (288, 288), 4)
        assert torch.equal(together[index], alone[0])


def test_image_score_is_the_largest_cell_and_not_the_largest_pixel() -> None:
    cells = torch.cat([0.9 * impulse(18, 18), 0.2 * impulse(3, 30) + 0.1])
    ours = glass()
    scores = ours.combine(ours.peaks(cells.logit())[:, None])  # what it keeps of cells
    assert scores.tolist() == pytest.approx([0.9, 0.3], abs=1e-14)
    peaks = anomaly_map(cells, (288, 288), 4).amax(dim=(1, 2))
    assert peaks[0].item() == pytest.approx(0.9 * 0.367219, abs=1e-6)


def test_maps_made_in_inference_mode_leave_later_ones_differentiable() -> None:
    size = (40, 56)
    with torch.inference_mode():
        anomaly_map(torch.rand(1, 5, 7), size, 1.5)
    cells = torch.rand(1, 5, 7, requires_grad=True)
    anomaly_map(cells, size, 1.5).sum().backward()
    assert cells.grad.sum().item() == pytest.approx(40 * 56, rel=1e-5)
