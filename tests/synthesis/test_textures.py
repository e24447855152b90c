"""Texture pictures: Pillow's bytes, a bounded cache, shuffled patches, damaged banks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from blemish.core.errors import UserError
from blemish.core.params import TextureParams
from blemish.images.manifest import read_manifest
from blemish.synthesis import augment
from blemish.synthesis.cache import PictureCache
from blemish.synthesis.textures import TextureBank, draw_under, shuffle_patches
from blemish.textures import bank
from tests.drawing import new_bank
from tests.units import tiny_unit


def pictures() -> list[Image.Image]:
    """Noise, a narrow range, one level, skewed levels, few levels."""
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (17, 23, 3)) for _ in range(3)]
    arrays += [random.integers(low, low + 40, (40, 30, 3)) for low in (0, 90, 200)]
    arrays += [np.full((9, 9, 3), level) for level in (0, 77, 255)]
    arrays += [random.random((64, 64, 3)) ** power * 255 for power in (0.2, 1, 5)]
    arrays += [random.integers(0, 3, (20, 20, 3)) * 127]
    return [Image.fromarray(array.astype(np.uint8)) for array in arrays]


PILLOW = {
    0: lambda image, random: ImageEnhance.Contrast(image).enhance(random.uniform(0.8, 1.2)),
    1: lambda image, random: ImageEnhance.Brightness(image).enhance(random.uniform(0.8, 1.2)),
    6: lambda image, _: ImageOps.autocontrast(image),
    7: lambda image, _: ImageOps.equalize(image),
}


@pytest.mark.parametrize("operation", PILLOW)
def test_tables_give_the_bytes_of_pillow(operation: int) -> None:
    for seed, picture in enumerate(pictures() * 4):
        numbers = augment.draw_strengths(operation, np.random.default_rng(seed))
        found = augment.apply_operation(operation, picture, numbers)
        expected = PILLOW[operation](picture, np.random.default_rng(seed))
        assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_the_cache_is_bounded_by_bytes_and_keeps_what_was_used_last() -> None:
    cache, loads = PictureCache(300), []

    def get(key: str, side: int = 10) -> None:
        def load() -> np.ndarray:
            loads.append(key)
            return np.zeros((side, side), np.uint8)

        assert cache.get(key, load).shape == (side, side)

    for key in ("a", "b", "c", "a", "d"):  # d takes the place of b, used longest ago
        get(key)
    assert loads == ["a", "b", "c", "d"]
    get("a")
    get("b")
    assert loads == ["a", "b", "c", "d", "b"]
    get("large", 40)  # larger than all: still served, alone
    get("large", 40)
    assert loads[-1] == "large"
    assert loads.count("large") == 1


@pytest.mark.parametrize("drawer", ["draw", "draw_squashed", "draw_shuffled"])
def test_colours_under_a_mask_are_those_of_the_whole_texture(drawer: str) -> None:
    one = new_bank()
    random = np.random.default_rng(5)
    normals = read_manifest(tiny_unit().prepared).of("train", 0)["image"].tolist()
    names = normals if drawer == "draw_shuffled" else one.names
    drawn = set()
    for seed in range(240):  # of the 84 sets of three operations, many in several orders
        name, draw = names[seed % len(names)], getattr(one, drawer)
        whole = draw(name, seed, 40, 56)
        places = np.flatnonzero(random.random(40 * 56) < random.choice([0.002, 0.1, 1]))
        found = draw(name, seed, 40, 56, places)
        assert found.shape == (len(places), 3)
        assert np.array_equal(found, whole.reshape(-1, 3)[places])
        drawn.add(tuple(sorted(operation for operation, _ in augment.draw_steps(seed))))
    assert len(drawn) > 70
    assert draw(name, 0, 40, 56, np.empty(0, np.int64)).shape == (0, 3)


def test_threads_draw_the_same_textures() -> None:
    names, seeds = new_bank().names[:12], list(range(12))
    masks = torch.from_numpy(np.random.default_rng(2).random((12, 40, 56)) < 0.2)
    masks[4] = False
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = draw_under(new_bank().draw, names, seeds, masks)
        torch.set_num_threads(3)
        threaded = draw_under(new_bank().draw, names, seeds, masks)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(threaded.colours, alone.colours)
    row, y, x = masks.nonzero().unbind(1)
    assert torch.equal(alone.rows, row)
    assert torch.equal(alone.places, y * 56 + x)
    images = torch.arange(12 * 3 * 40 * 56).view(12, 3, 40, 56)
    assert torch.equal(images.take(alone.of(images)), images[row, :, y, x])


def test_shuffled_patches_are_all_of_them_in_another_order() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (42, 61, 3), dtype=np.uint8)
    shuffled = shuffle_patches(picture, 5)

    def patches(image: np.ndarray) -> list[bytes]:
        return [
            image[top : top + 10, left : left + 15].tobytes()
            for top in range(0, 40, 10)
            for left in range(0, 60, 15)
        ]

    assert patches(shuffled) != patches(picture)
    assert sorted(patches(shuffled)) == sorted(patches(picture))
    assert np.array_equal(shuffled[40:], picture[40:])
    assert np.array_equal(shuffled[:, 60:], picture[:, 60:])
    assert not np.array_equal(shuffled, shuffle_patches(picture, 6))


def test_an_empty_bank_and_an_unreadable_texture_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank, "link_dtd", lambda _: None)
    with pytest.raises(UserError, match=r"textures: found 0 class\(es\)"):
        bank.build_bank(TextureParams(source="dtd"), tmp_path)

    def unpack(folder: Path) -> None:
        for name in ("a", "b"):
            (folder / name).mkdir()
            pictures()[0].save(folder / name / "0.png")
        (folder / "b" / "1.png").write_bytes((folder / "b" / "0.png").read_bytes()[:60])

    monkeypatch.setattr(bank, "link_dtd", unpack)
    with pytest.raises(UserError, match=r"1\.png: not a whole image"):
        bank.build_bank(TextureParams(source="dtd"), tmp_path)


def test_a_texture_that_vanished_is_named(tmp_path: Path) -> None:
    (tmp_path / "textures.csv").write_text("file,class,purpose\na/0.png,a,train\n")
    with pytest.raises(UserError, match=r"a/0\.png: the image is missing"):
        TextureBank(tmp_path, "train").draw("a/0.png", 0, 32, 32)
