"""Frozen features: the cache in memory and in files, exact and halved; linear maps of levels."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.methods.glass.feature_cache import BATCH, GIB, FeatureCache
from blemish.methods.glass.features import Levels
from blemish.methods.glass.params import Params
from blemish.nn.patches import PatchEmbedding
from tests.models import new

IMAGES = 2 * BATCH + 5


class Rows:
    """What a cache needs of `Normals`, with rows of any kind in the pictures' place."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, size: int) -> tuple[Tensor, ...]:
        return self.rows.split(size)


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(IMAGES, 6, 4, 5, dtype=torch.float64, generator=generator)


def embed(batch: Tensor) -> Levels:
    """Two levels at grids of their own."""
    return [batch.exp(), batch[:, :3, ::2, ::2]]


@pytest.mark.parametrize("limit", [1e9, 0], ids=["memory", "file"])
def test_rows_are_those_embedded_afresh(limit: float, tmp_path: Path) -> None:
    cache = FeatureCache(Rows(images()), embed, limit=limit, folder=tmp_path)
    chosen = torch.tensor([30, 2, 36, 2])
    for kept, level in zip(cache.rows(chosen), embed(images()[chosen]), strict=True):
        assert torch.equal(kept, level)
        assert kept.dtype == torch.float64  # never less than was computed, unless asked for
    whole = [torch.cat(parts) for parts in zip(*cache.batches(), strict=True)]
    for kept, level in zip(whole, embed(images()), strict=True):
        assert torch.equal(kept, level)
    assert len(cache) == IMAGES
    assert cache.bytes == IMAGES * 8 * (6 * 20 + 3 * 6)


@pytest.mark.parametrize("limit", [1e9, 0], ids=["memory", "file"])
def test_float16_takes_a_quarter_of_float64_and_rounds(limit: float, tmp_path: Path) -> None:
    exact = FeatureCache(Rows(images()), embed)
    half = FeatureCache(Rows(images()), embed, half=True, limit=limit, folder=tmp_path)
    assert 4 * half.bytes == exact.bytes
    rows = slice(0, IMAGES)
    for kept, level in zip(half.rows(rows), exact.rows(rows), strict=True):
        assert kept.dtype == torch.float64
        torch.testing.assert_close(kept, level, rtol=2**-11, atol=1e-7)
        assert not torch.equal(kept, level)


def test_the_mean_is_that_of_all_images() -> None:
    cache = FeatureCache(Rows(images()), embed)
    for mean, level in zip(cache.mean(), embed(images()), strict=True):
        torch.testing.assert_close(mean, level.mean(dim=0, keepdim=True), rtol=0, atol=1e-14)


def anonymous_bytes() -> int:
    """What the system may not drop from this process's memory."""
    status = Path(f"/proc/{os.getpid()}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def test_files_leave_no_name_and_need_no_memory(tmp_path: Path) -> None:
    pictures = torch.zeros(4 * BATCH, 1, dtype=torch.uint8)

    def level(batch: Tensor) -> Levels:
        return [torch.ones(len(batch), 1, 1, 1).expand(-1, 1024, 32, 32)]

    before = anonymous_bytes()
    cache = FeatureCache(Rows(pictures), level, limit=1e6, folder=tmp_path)
    assert cache.bytes == 4 * BATCH * 4 * 2**20
    assert anonymous_bytes() - before < cache.bytes / 4
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(cache.rows(torch.tensor([63]))[0], level(pictures[:1])[0])


def test_a_feature_beyond_float16_is_an_error_with_advice() -> None:
    def large(batch: Tensor) -> Levels:
        return [batch * 1e6]

    assert FeatureCache(Rows(images()), large).rows(slice(1))[0].isfinite().all()
    with pytest.raises(UserError, match=r"exceeds the 65,504 of float16: set .*`cache` to `exact`"):
        FeatureCache(Rows(images()), large, half=True)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\): free"):
        FeatureCache(Rows(images()), embed, limit=0, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_thousand_published_images_fit_24_gib() -> None:
    """Pooled to 768 numbers at 36² and at 18², whatever the backbone's weights."""
    embedding = PatchEmbedding([512, 1024], 1536, 1536)
    levels = [torch.zeros(1, 512, 36, 36), torch.zeros(1, 1024, 18, 18)]
    cache = FeatureCache(Rows(torch.zeros(1, 1)), lambda _: embedding.pool(levels))
    assert cache.bytes == 4_976_640
    half = FeatureCache(Rows(torch.zeros(1, 1)), lambda _: embedding.pool(levels), half=True)
    assert 2000 * half.bytes < 4.7 * GIB
    assert 2000 * cache.bytes < 9.3 * GIB
    assert Params().cache_gib == 8  # beyond it lies a file, which counts as no process's memory


CASES = [
    ([512, 1024], [(6, 6), (3, 3)], 1536, 1536),
    ([24, 40, 112], [(8, 8), (4, 4), (2, 2)], 100, 77),  # two levels meet inside one entry
    ([37], [(5, 6)], 41, 29),
]


@pytest.mark.parametrize(("channels", "grids", "pretrain", "target"), CASES)
def test_a_linear_map_of_levels_is_that_of_the_cells(channels, grids, pretrain, target) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    embedding = PatchEmbedding(channels, pretrain, target, dtype=torch.float64)
    pooled = embedding.pool([draw(2, c, *grid) for c, grid in zip(channels, grids, strict=True)])
    weight, bias = draw(7, target).requires_grad_(), draw(7).requires_grad_()
    mapped = embedding.linear(pooled, weight, bias)
    expected = embedding.assemble(pooled) @ weight.T + bias
    torch.testing.assert_close(mapped, expected, rtol=0, atol=1e-11)
    slope = draw(*mapped.shape)
    found = torch.autograd.grad((mapped * slope).sum(), (weight, bias))
    plain = torch.autograd.grad((expected * slope).sum(), (weight, bias))
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-10)


def tiny(**changes: object) -> Params:
    return Params(backbone="efficientnet_lite0", weights="random", hidden=8, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "variant", "enlarge"),
    [
        ("mvtec/bottle", "hypersphere", 1),
        ("mvtec/wood", "manifold", 329 / 288),
        ("mad-man/toothbrush", "manifold", 329 / 288),
        ("mad-sys/screw", "hypersphere", 1),
        ("visa/pcb3", "manifold", 1),
        ("visa/pipe_fryum", "hypersphere", 1),
        ("mpdd/tubes", "manifold", 1),
        ("wfdd/grey_cloth", "manifold", 1),
        ("elpv/mono", "judge", 1),
        ("planks/wood", "judge", 329 / 288),  # any data set of MVTec's layout, as published
    ],
)
def test_the_published_table_and_crop_go_by_the_name(unit: str, variant: str, enlarge) -> None:
    params = Params().for_unit(unit)
    assert (params.variant, params.enlarge) == (variant, enlarge)
    assert params.for_unit(unit) == params
    chosen = Params(variant="manifold", enlarge=1).for_unit(unit)
    assert (chosen.variant, chosen.enlarge) == ("manifold", 1)
    assert Params(resize="squash").for_unit(unit).enlarge == 1


def test_the_table_has_the_published_number_of_hypersphere_categories() -> None:
    from blemish.datasets.dataset import data_set

    def count(name: str) -> int:
        categories = data_set(name, {}).categories
        variants = [Params().for_unit(f"{name}/{one}").variant for one in categories]
        return variants.count("hypersphere")

    assert count("mvtec") == 5
    assert count("visa") == 6


def test_wood_is_seen_through_the_published_crop() -> None:
    glass = new("glass", tiny().for_unit("mvtec/wood"))
    assert (glass.framing.window, glass.framing.enlarge) == ((288, 288), 329 / 288)
    ramp = torch.arange(658, dtype=torch.float32)[None, :, None].expand(658, -1, 3) * 255 / 658
    seen = glass.framing.to_model(ramp.to(torch.uint8).numpy())
    # 329 pixels a side, of which the central 288: rows 20 to 307 of the half-sized picture.
    assert seen.shape == (3, 288, 288)
    assert seen[0, 0, 0] == pytest.approx(20.5 * 255 / 329, abs=1)
    assert seen[0, 0, -1] == pytest.approx(307.5 * 255 / 329, abs=1)
    assert new("glass", tiny().for_unit("visa/wood")).framing.enlarge == 1
