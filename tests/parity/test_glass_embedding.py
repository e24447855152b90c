"""The embedding as convolutions equals the plain procedure: `docs/spec/glass.md` §4."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from blemish.methods.glass import plain
from blemish.nn.patches import PatchEmbedding, average_pooling


def feature_maps(channels, grids, dtype=torch.float64, batch=2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, width, *grid, dtype=dtype, generator=generator)
        for width, grid in zip(channels, grids, strict=True)
    ]


PUBLISHED = ([512, 1024], [(6, 6), (3, 3)], 1536, 1536, 3)
CASES = [
    PUBLISHED,
    ([1024], [(4, 4)], 1536, 1536, 3),  # DLAS-Net's single level
    ([128, 256], [(6, 6), (3, 3)], 1536, 1536, 3),  # ResNet-18: fewer entries than outputs
    ([40, 112], [(7, 9), (4, 5)], 96, 160, 3),
    ([24, 40, 112], [(8, 8), (4, 4), (2, 2)], 100, 77, 3),
    ([37, 53], [(5, 6), (3, 3)], 41, 29, 5),
    ([40, 112], [(4, 4), (2, 2)], 96, 160, 1),
]


@pytest.mark.parametrize(("channels", "grids", "pretrain", "target", "patch"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_equals_the_plain_procedure(
    channels, grids, pretrain, target, patch, dtype, tolerance
) -> None:
    levels = feature_maps(channels, grids, dtype)
    embedding = PatchEmbedding(channels, pretrain, target, patch, dtype)
    expected = plain.embedding(levels, pretrain, target, patch)
    assert embedding(levels).shape == (2, *grids[0], target)
    torch.testing.assert_close(embedding(levels), expected, rtol=0, atol=tolerance)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    channels=st.lists(st.integers(1, 24), min_size=1, max_size=3),
    pretrain=st.integers(1, 60),
    target=st.integers(1, 60),
    patch=st.sampled_from([1, 3]),
)
def test_equals_the_plain_procedure_at_any_width(channels, pretrain, target, patch) -> None:
    levels = feature_maps(channels, [(5, 4), (3, 2), (2, 2)][: len(channels)])
    embedding = PatchEmbedding(channels, pretrain, target, patch, torch.float64)
    expected = plain.embedding(levels, pretrain, target, patch)
    torch.testing.assert_close(embedding(levels), expected, rtol=0, atol=1e-12)


def test_published_sizes_are_two_grouped_convolutions_with_constant_weights() -> None:
    fine, coarse = PatchEmbedding([512, 1024], 1536, 1536, dtype=torch.float64).levels
    assert (fine.weight.shape, fine.groups) == ((768, 2, 3, 3), 256)
    assert (coarse.weight.shape, coarse.groups) == ((768, 4, 3, 3), 256)
    assert fine.weight.unique().tolist() == pytest.approx([0, 1 / 6], abs=1e-15)
    assert coarse.weight.unique().tolist() == pytest.approx([0, 1 / 12], abs=1e-15)
    # Channels 2k and 2k+1: rows 0–1; row 2 with row 0 of the next; rows 1–2 of the next.
    rows = (fine.weight[:3].sum(dim=3) * 2).round().int().tolist()
    assert rows == [[[1, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]]]


def test_first_half_depends_on_the_finer_level_only_and_second_half_on_the_coarser() -> None:
    levels = feature_maps(*PUBLISHED[:2])
    embedding = PatchEmbedding([512, 1024], 1536, 1536, dtype=torch.float64)
    without_coarse = embedding([levels[0], torch.zeros_like(levels[1])])
    without_fine = embedding([torch.zeros_like(levels[0]), levels[1]])
    cells = embedding(levels)
    assert torch.equal(cells[..., :768], without_coarse[..., :768])
    assert torch.equal(cells[..., 768:], without_fine[..., 768:])
    assert without_coarse[..., 768:].abs().max() == 0
    assert without_fine[..., :768].abs().max() == 0


def test_pooled_levels_are_the_compact_form_of_the_cells() -> None:
    levels = feature_maps(*PUBLISHED[:2])
    embedding = PatchEmbedding([512, 1024], 1536, 1536, dtype=torch.float64)
    pooled = embedding.pool(levels)
    assert [tuple(level.shape) for level in pooled] == [(2, 768, 6, 6), (2, 768, 3, 3)]
    assert torch.equal(embedding.assemble(pooled), embedding(levels))


def test_nothing_is_trainable_and_nothing_is_saved() -> None:
    embedding = PatchEmbedding([8, 16], 24, 24)
    assert list(embedding.parameters()) == []
    assert embedding.state_dict() == {}


@pytest.mark.parametrize(("length", "outputs"), [(4608, 1536), (360, 96), (17, 5), (5, 17), (7, 7)])
def test_average_pooling_matches_torch(length: int, outputs: int) -> None:
    values = torch.randn(3, length, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = F.adaptive_avg_pool1d(values, outputs).numpy()
    pooled = (average_pooling(length, outputs) @ values.numpy().T).T
    assert abs(pooled - expected).max() < 1e-14
