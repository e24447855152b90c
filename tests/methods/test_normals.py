"""Windows of the normals: crops of what was decoded, of every place, shared out fairly.

Pixels encode where they are and which image they are of, so that a window tells where it was cut.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from blemish.core.params import SynthesisParams
from blemish.images.framing import Framing
from blemish.images.manifest import Facts, Manifest
from blemish.images.store import ImageStore, OnDemand, Pictures
from blemish.methods.normals import Normals
from blemish.methods.training_data import TrainingUnit
from blemish.synthesis.textures import TextureBank
from tests.units import texture_bank

SIZES = [(96, 160), (64, 64), (200, 130), (50, 70)]
FRAMING = Framing(64, 64, "tiles", overlap=16)
FRAMES = [FRAMING.place(*size).frame for size in SIZES]


def picture(number: int, height: int, width: int) -> np.ndarray:
    """Its row, its column and its number, at each pixel."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, number)], axis=2).astype(np.uint8)


@pytest.fixture
def unit(tmp_path: Path) -> TrainingUnit:
    """Four normals, the last two with a foreground: the left half of the image."""
    rows = []
    for number, (height, width) in enumerate(SIZES):
        Image.fromarray(picture(number, height, width)).save(tmp_path / f"{number}.png")
        mask = np.zeros((height, width), np.uint8)
        mask[:, : width // 2] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}.mask.png")
        rows.append({
            "image": f"{number}.png", "digest": f"digest {number}", "split": "train", "label": 0,
            "height": height, "width": width, "slice": "",
            "foreground": f"{number}.mask.png" if number > 1 else None,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    manifest = Manifest(table, Facts("made/up", "none"), tmp_path)
    recipes = pd.DataFrame({"image": table["image"], "draw": 0, "kind": "perlin"})
    store = ImageStore(tmp_path / "store", 1e9)
    bank = TextureBank(texture_bank(), "train")
    return TrainingUnit(manifest, recipes, bank, 1, SynthesisParams(), store)


def places(normals: Normals) -> list[tuple[int, int, int]]:
    """Image, top and left of each window, as its first pixel says."""
    return [(int(one[2, 0, 0]), int(one[0, 0, 0]), int(one[1, 0, 0])) for one in normals]


def test_windows_are_the_crops_they_claim_to_be(unit: TrainingUnit) -> None:
    normals = unit.normals(FRAMING)
    assert normals.shape == (len(normals), 3, 64, 64)
    assert normals.side == np.median([min(frame) for frame in FRAMES])
    for window, owner, (image, top, left) in zip(
        normals, normals.owners.tolist(), places(normals), strict=True
    ):
        assert image == owner
        whole = FRAMING.to_model(picture(image, *SIZES[image]))
        assert np.array_equal(window, whole[:, top : top + 64, left : left + 64])


def test_windows_come_the_same_in_every_way_to_ask(unit: TrainingUnit) -> None:
    normals = unit.normals(FRAMING)
    whole = normals[:]
    assert whole.dtype == torch.uint8
    assert torch.equal(torch.stack(list(normals)), whole)
    assert torch.equal(torch.cat(list(normals.batches(3))), whole)
    rows = torch.tensor([5, 0, 5])
    assert torch.equal(normals[rows], whole[rows])
    assert torch.equal(normals[2:4], whole[2:4])


@pytest.mark.parametrize("seed", range(5))
def test_every_pixel_of_every_image_is_seen(unit: TrainingUnit, seed: int) -> None:
    seen = [torch.zeros(size, dtype=torch.bool) for size in SIZES]
    for window in unit.normals(FRAMING, seed=seed):
        rows, columns, number = window.long()
        seen[int(number[0, 0])][rows, columns] = True
    assert all(one.all() for one in seen)


def test_windows_are_shared_out_fairly(unit: TrainingUnit) -> None:
    counts = Counter(unit.normals(FRAMING).owners.tolist())
    assert set(counts) == {0, 1, 2, 3}
    total = sum(counts.values())
    for most in range(1, total + 3):
        given = Counter(unit.normals(FRAMING, most=most).owners.tolist())
        assert sum(given.values()) == min(most, total)
        assert all(given[image] <= counts[image] for image in counts)
        # Who has less than another by more than one has given all it has.
        for image, number in given.items():
            assert number <= 1 + min(
                (given[other] for other in counts if given[other] < counts[other]), default=number
            ), (image, most)


def test_the_seed_places_the_windows(unit: TrainingUnit) -> None:
    first, again, other = (places(unit.normals(FRAMING, most=9, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    everywhere = {place for seed in range(9) for place in places(unit.normals(FRAMING, seed=seed))}
    tops = {top for image, top, _ in everywhere if image == 2}
    assert len(tops) > 20  # anywhere, not on a grid
    assert any(top % 32 for top in tops)


def test_only_decoded_pictures_are_stored(unit: TrainingUnit) -> None:
    list(unit.normals(FRAMING, seed=0))
    list(unit.normals(FRAMING, seed=1, most=3))
    assert isinstance(unit.pictures(FRAMING, "train"), Pictures)
    (file,) = unit.store.folder.iterdir()
    assert file.stat().st_size == sum(3 * height * width for height, width in FRAMES)


def test_what_no_store_keeps_is_decoded_on_demand_to_the_same_bytes(unit: TrainingUnit) -> None:
    kept, windows = unit.pictures(FRAMING, "train"), unit.normals(FRAMING)[:]
    small = TrainingUnit(
        unit.manifest, unit.recipes, unit.textures, 1, unit.synthesis,
        ImageStore(unit.store.folder.with_name("none"), 1000),
    )  # fmt: skip
    demanded = small.pictures(FRAMING, "train")
    assert isinstance(demanded, OnDemand)
    assert len(demanded) == len(kept) == 4
    for mine, other in zip(demanded, kept, strict=True):
        assert torch.equal(mine, other)
    assert torch.equal(small.normals(FRAMING)[:], windows)
    assert not small.store.folder.exists()


def test_masks_are_cut_like_their_images(unit: TrainingUnit) -> None:
    normals = unit.normals(FRAMING)
    inside = unit.foregrounds(FRAMING, normals)
    assert inside is not None
    assert inside.shape == (len(normals), 64, 64)
    for window, part, owner in zip(normals, inside, normals.owners.tolist(), strict=True):
        left_half = window[1] < SIZES[owner][1] // 2
        expected = left_half if owner > 1 else torch.ones(64, 64, dtype=torch.bool)
        assert torch.equal(part, expected)


def test_a_window_of_bare_background_stays_clean(unit: TrainingUnit) -> None:
    normals = unit.normals(FRAMING)
    inside = unit.foregrounds(FRAMING, normals)
    assert inside is not None
    rows = torch.arange(len(normals))
    recipes = unit.draw(rows, 0, 0, normals, inside)
    assert recipes["image"].tolist() == [f"{owner}.png" for owner in normals.owners.tolist()]
    bare = ~inside.flatten(1).any(dim=1)
    assert bare.any()
    assert ((recipes["kind"] == "clean").to_numpy() == bare.numpy()).all()


def test_whole_images_are_windows_of_themselves() -> None:
    images: Tensor = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    normals = Normals.whole(images)
    assert normals.shape == (2, 3, 4, 5)
    assert normals.side is None
    assert normals.owners.tolist() == [0, 1]
    assert torch.equal(normals[:], images)
    masks = [one[0] > 5 for one in images]
    assert torch.equal(normals.cut(masks, torch.tensor([1])), masks[1][None])
