"""Foreground masks: the part is found on uneven backgrounds, textures are all part."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from blemish.core.errors import UserError
from blemish.core.params import DataParams
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.masks import read_mask
from blemish.prepare.foreground import add_foregrounds, foreground_mask
from blemish.prepare.unit import prepare

Mask = NDArray[np.bool_]
HEIGHT, WIDTH = 240, 300
YS, XS = np.mgrid[:HEIGHT, :WIDTH]
DISC: Mask = ((XS - 150) / 90) ** 2 + ((YS - 120) / 60) ** 2 < 1
HOLE: Mask = ((XS - 150) / 40) ** 2 + ((YS - 120) / 30) ** 2 < 1
CROSS: Mask = (abs(XS - 150) < 20) | (abs(YS - 120) < 15)


def scene(mask: Mask, colour: list[float], seed: int = 0) -> NDArray[np.uint8]:
    """A striped part of `colour` on a grey that is 40 levels darker to the right, with noise."""
    background = np.repeat((200 - 40 * XS / WIDTH)[:, :, None], 3, axis=2)
    part = np.array(colour) + 30 * np.sin(XS / 7)[:, :, None]
    noise = np.random.default_rng(seed).normal(0, 5, (HEIGHT, WIDTH, 3))
    return np.clip(np.where(mask[:, :, None], part, background) + noise, 0, 255).astype(np.uint8)


def overlap(found: Mask, expected: Mask) -> float:
    return float((found & expected).sum() / (found | expected).sum())


@pytest.mark.parametrize(
    ("drawn", "expected", "colour"),
    [
        (DISC, DISC, [150, 120, 80]),
        (DISC & ~HOLE, DISC, [90, 90, 95]),  # holes are filled
        (CROSS, CROSS, [205, 100, 70]),  # it reaches over the frame
    ],
)
def test_a_part_is_found(drawn: Mask, expected: Mask, colour: list[float]) -> None:
    assert overlap(foreground_mask(scene(drawn, colour)), expected) > 0.88


def test_coins_are_found_on_an_uneven_table() -> None:
    coins = np.repeat(data.coins()[:, :, None], 3, axis=2)
    found = foreground_mask(coins)
    assert 0.25 < found.mean() < 0.5
    assert found[coins[:, :, 0] > 200].mean() > 0.95  # what is bright is metal


@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
def test_a_texture_is_all_part(name: str) -> None:
    texture = np.repeat(getattr(data, name)()[:, :, None], 3, axis=2)
    assert foreground_mask(texture).all()


@pytest.mark.parametrize("size", [(8, 8), (9, 400), (1, 1)])
def test_any_size_has_a_mask(size: tuple[int, int]) -> None:
    mask = foreground_mask(np.full((*size, 3), 90, np.uint8))
    assert mask.shape == size
    assert mask.all()


def unit(folder: Path, hand_made: Path | None) -> Manifest:
    raw, target = folder / "raw", folder / "prepared"
    raw.mkdir()
    target.mkdir()
    items = []
    for number in range(8):
        path = raw / f"{number:03d}.png"
        Image.fromarray(scene(DISC, [150, 120, 80], number)).save(path)
        items.append(Item(path, "good", "test" if number == 7 else "train"))
    found = DataSet(
        name="parts", title="", categories=("disc",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    prepare(found, "disc", raw, DataParams(), target, hand_made)
    return read_manifest(target)


def test_masks_are_made_for_normals_only_where_asked(tmp_path: Path) -> None:
    assert unit(tmp_path, None).rows["foreground"].isna().all()


def test_hand_made_masks_win(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    Image.fromarray(CROSS.astype(np.uint8) * 255).save(own / "003.png")
    manifest = unit(tmp_path, own)
    rows = manifest.rows.set_index("image")
    assert rows["foreground"].notna().tolist() == (rows["split"] != "test").tolist()
    masks = {Path(row.foreground).stem: read_mask(manifest.root / row.foreground)
             for row in rows[rows["split"] != "test"].itertuples()}  # fmt: skip
    assert (masks.pop("003") == CROSS).all()
    assert all(overlap(mask, DISC) > 0.93 for mask in masks.values())
    with Image.open(manifest.root / "foreground.png") as sheet:
        assert sheet.width > 6 * 160


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("009.png", CROSS, r"009\.png: no training normal has the name 009: name each foreground"),
        ("003.png", CROSS[:-1], r"003\.png: the foreground mask is 300×239 but its image is 300×"),
        ("003.png", CROSS & False, r"003\.png: the foreground mask is empty: mark the part"),
    ],
)
def test_a_hand_made_mask_that_does_not_fit_is_named(
    name: str, mask: Mask, message: str, tmp_path: Path
) -> None:
    own, out = tmp_path / "own", tmp_path / "out"
    own.mkdir()
    out.mkdir()
    Image.fromarray(mask.astype(np.uint8) * 255).save(own / name)
    Image.fromarray(scene(DISC, [150, 120, 80])).save(out / "003.png")
    row = {"image": "003.png", "split": "train", "label": 0, "height": HEIGHT, "width": WIDTH}
    with pytest.raises(UserError, match=message):
        add_foregrounds([row], out, own)
