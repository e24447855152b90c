"""Rendering is a pure function of recipe and image; what `synthesize` renders and writes."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.params import SynthesisParams
from blemish.images.manifest import read_manifest
from blemish.images.reading import read_image
from blemish.synthesis.masks import dlas_masks, draw_masks, perlin_masks, shape_masks
from blemish.synthesis.recipes import read_recipes
from blemish.synthesis.render import render
from blemish.synthesis.synthesize import held_out_recipes
from blemish.synthesis.textures import TextureBank
from stages import synthesize
from tests.drawing import COUNT, KINDS, MAY_BE_EMPTY, SOFT, new_bank, some_images, some_recipes
from tests.units import NO_CROPS, Unit, bytes_of, run_stage, texture_bank, tiny_unit

WEAK = ("weak-0.3", "weak-0.7", "visibility-0.5")


def rendered(recipes: pd.DataFrame, images: Tensor, batch: int) -> list[bytes]:
    """Image and mask of every row, rendered in batches by a bank that remembers nothing."""
    bank = new_bank()
    results = []
    for start in range(0, len(recipes), batch):
        part = recipes.iloc[start : start + batch]
        pictures, masks = render(part, images[start : start + batch], bank, 8)
        assert pictures.dtype == torch.float32
        assert masks.dtype == torch.bool
        pairs = zip(pictures.numpy(), masks.numpy(), strict=True)
        results += [picture.tobytes() + mask.tobytes() for picture, mask in pairs]
    return results


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 93), (33, 32), (96, 40)])
def test_same_recipe_same_bytes_in_any_company(height: int, width: int) -> None:
    recipes, images = some_recipes(), some_images(height, width)
    alone = rendered(recipes, images, 1)
    assert len(set(alone)) == COUNT
    assert set(recipes["kind"]) == set(KINDS)
    for batch in (1, 3, 8, COUNT):
        assert rendered(recipes, images, batch) == alone
    order = np.random.default_rng(1).permutation(COUNT)
    mixed = rendered(recipes.iloc[order], images[order], 5)
    assert mixed == [alone[number] for number in order]


def test_threads_do_not_matter() -> None:
    recipes, images = some_recipes(), some_images(64, 64)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = rendered(recipes, images, 8)
        torch.set_num_threads(3)
        assert rendered(recipes, images, 8) == single
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 93), (33, 47), (300, 31)])
def test_never_empty_and_unchanged_outside_the_mask(height: int, width: int) -> None:
    kinds = {*KINDS} - SOFT - MAY_BE_EMPTY
    recipes, images = some_recipes(kinds=sorted(kinds)), some_images(height, width)
    pictures, masks = render(recipes, images, new_bank(), 8)
    assert pictures.shape == (COUNT, 3, height, width)
    assert masks.flatten(1).any(dim=1).all()
    normal = images.float() / 255
    changed = (pictures != normal).any(dim=1)
    assert not (changed & ~masks).any()
    assert changed[masks].double().mean() > 0.95
    assert 0 <= pictures.min() <= pictures.max() <= 1


@pytest.mark.parametrize("kind", sorted(SOFT))
def test_soft_defects_are_strongest_where_they_count(kind: str) -> None:
    recipes, images = some_recipes(kinds=[kind]), some_images(64, 80) // 4 + 96
    pictures, masks = render(recipes, images, new_bank(), 8)
    assert masks.flatten(1).any(dim=1).all()
    change = (pictures - images.float() / 255).abs().mean(dim=1)
    assert change[masks].mean() > 3 * change[~masks].mean()
    assert 0 <= pictures.min() <= pictures.max() <= 1


def test_every_seed_gets_a_defect() -> None:
    seeds = torch.arange(3000) * 1_431_655 % 2**32
    for maker in (perlin_masks, dlas_masks, shape_masks):
        drawn = [draw_masks(maker, part, (40, 56), 8) for part in seeds.split(250)]
        assert torch.cat(drawn).flatten(1).any(dim=1).all()


def test_the_bank_serves_training_and_validation_disjoint_classes() -> None:
    index = pd.read_csv(texture_bank() / "textures.csv")
    classes = {purpose: set(rows["class"]) for purpose, rows in index.groupby("purpose")}
    assert classes.keys() == {"train", "validation"}
    assert not classes["train"] & classes["validation"]
    assert len(classes["validation"]) == round(0.25 * index["class"].nunique())
    known, unseen = (TextureBank(texture_bank(), purpose) for purpose in ("train", "validation"))
    assert {name.split("/")[0] for name in known.names} == classes["train"]
    assert {name.split("/")[0] for name in unseen.names} == classes["validation"]


def test_validation_uses_images_textures_and_kinds_that_training_never_sees() -> None:
    unit = tiny_unit()
    training = read_recipes(unit.synthetic / "recipes.parquet")
    held_out = read_recipes(unit.synthetic / "held_out.parquet")
    assert set(training["purpose"]) == {"train"}
    assert set(held_out["purpose"]) == {"validation", *WEAK}
    for column in ("image", "kind"):
        assert not set(training[column]) & set(held_out[column])
    texture_classes = [
        {name.split("/")[0] for name in rows["texture"].dropna()} for rows in (training, held_out)
    ]
    assert not texture_classes[0] & texture_classes[1]
    manifest = read_manifest(unit.prepared)
    assert set(training["image"]) == set(manifest.of("train", 0)["image"])
    assert set(held_out["image"]) <= set(manifest.of("val", 0)["image"])


def test_validation_shows_what_is_filled_thin_tiny_and_faint() -> None:
    unit = tiny_unit()
    settings = SynthesisParams(validation_images=60, weak_images=2)
    bank = TextureBank(unit.textures, "validation")
    kinds = held_out_recipes(read_manifest(unit.prepared), bank, settings).groupby("purpose")[
        "kind"
    ]
    counts = kinds.value_counts()["validation"]
    assert set(counts.index) == {"shapes", "strokes", "dots", "stains"}
    assert counts.min() >= 6
    assert set(kinds.get_group("weak-0.3")) == {"shapes"}
    assert set(kinds.get_group("visibility-0.5")) == {"shades"}


def test_rendered_sets_are_what_their_manifest_says() -> None:
    unit = tiny_unit()
    made, prepared = read_manifest(unit.synthetic), read_manifest(unit.prepared)
    assert made.facts.masks == "pixel"
    assert made.facts.extra_slices == WEAK
    assert made.rows["slice"].value_counts().to_dict() == {"": 6} | dict.fromkeys(WEAK, 3)
    assert len(made.of("validation", 1)) == 6
    assert len(made.of("weak", 1)) == 3 * len(WEAK)
    sizes = {(row.width, row.height) for row in prepared.rows.itertuples()}
    for row in made.rows.itertuples():
        image = read_image(made.root / row.image)
        mask = np.asarray(Image.open(made.root / row.mask))
        assert mask.shape == image.shape[:2] == (row.height, row.width)
        assert (row.width, row.height) in sizes
        assert set(np.unique(mask)) == {0, 255}
        normal = read_image(prepared.root / row.group)
        if row.defect not in SOFT:
            assert np.array_equal(image[mask == 0], normal[mask == 0])
        assert not np.array_equal(image, normal)


def test_weak_defects_keep_the_share_beta_of_the_normal_image() -> None:
    unit = tiny_unit()
    made, prepared = read_manifest(unit.synthetic), read_manifest(unit.prepared)
    bank = TextureBank(unit.textures, "validation")
    recipes = read_recipes(unit.synthetic / "held_out.parquet")
    rows = made.rows.set_index("image")
    for purpose, beta in (("weak-0.3", 0.3), ("weak-0.7", 0.7)):
        chosen = recipes[recipes["purpose"] == purpose]
        assert set(chosen["beta"]) == {beta}
        for number, recipe in chosen.iterrows():
            name = f"{purpose}/images/{number:04d}.png"
            normal = read_image(prepared.root / recipe["image"]).astype(float)
            mask = np.asarray(Image.open(made.root / rows.loc[name, "mask"])) > 0
            texture = bank.draw(recipe["texture"], recipe["seed"], *normal.shape[:2])
            expected = beta * normal + (1 - beta) * texture
            found = read_image(made.root / name)
            np.testing.assert_allclose(found[mask], expected[mask], rtol=0, atol=0.51)


def test_the_stage_writes_the_same_bytes_again(tmp_path) -> None:
    unit = tiny_unit()
    again = Unit(tmp_path)
    run_stage(synthesize.main, {}, unit.prepared, unit.textures, NO_CROPS, again.synthetic)
    assert bytes_of(again.synthetic) == bytes_of(unit.synthetic)


def test_there_may_be_no_weak_defects(tmp_path) -> None:
    unit = tiny_unit()
    for number, none in enumerate([{"weak": [], "weak_visibility": []}, {"weak_images": 0}]):
        folder = tmp_path / str(number)
        changes = {"synthesis": {"draws": 1, "validation_images": 2} | none}
        run_stage(synthesize.main, changes, unit.prepared, unit.textures, NO_CROPS, folder)
        made = read_manifest(folder)
        assert set(made.rows["split"]) == {"validation"}
        assert len(made.rows) == 2


def test_a_stage_that_fails_leaves_nothing(tmp_path) -> None:
    unit = tiny_unit().copy(tmp_path / "unit")
    damaged = unit.prepared / read_manifest(unit.prepared).of("val", 0)["image"][0]
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(UserError, match=f"{damaged.name}: not a whole image"):
        run_stage(
            synthesize.main, {}, unit.prepared, unit.textures, NO_CROPS, tmp_path / "out" / "unit"
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bank_that_is_missing_or_serves_no_purpose_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"textures\.csv is missing: run `dvc repro textures`"):
        TextureBank(tmp_path, "train")
    pd.DataFrame({"file": ["a/0.png"], "class": ["a"], "purpose": ["train"]}).to_csv(
        tmp_path / "textures.csv"
    )
    with pytest.raises(UserError, match="no texture for validation"):
        TextureBank(tmp_path, "validation")
