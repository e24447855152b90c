"""Recipes: each row depends on its own image and draw alone; files and their bytes."""

import pandas as pd
import pytest
from scipy import stats

from blemish.core.params import SynthesisParams
from blemish.synthesis.recipes import SCHEMA, draw_recipes, read_recipes, write_recipes

TEXTURES = [f"class{number % 5}/{number}.png" for number in range(40)]
PARAMS = SynthesisParams()


def recipes(images, draws=3, purpose="train", params=PARAMS, beta=None, textures=TEXTURES):
    pairs = [(image, draw) for image in images for draw in range(draws)]
    names, numbers = zip(*pairs, strict=True)
    return draw_recipes(names, numbers, purpose, "perlin", textures, params, beta)


def test_another_image_leaves_the_recipes_of_the_others_as_they_are() -> None:
    before = recipes(["a.png", "c.png"])
    after = recipes(["0.png", "a.png", "b.png", "c.png"])
    kept = after[after["image"].isin(["a.png", "c.png"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


def test_more_draws_leave_the_first_ones_as_they_are() -> None:
    before, after = recipes(["a.png", "b.png"]), recipes(["a.png", "b.png"], draws=7)
    kept = after[after["draw"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


def test_image_draw_purpose_and_seed_each_change_a_recipe() -> None:
    base = recipes(["a.png"], draws=2)
    others = [
        base.iloc[[1]],
        recipes(["b.png"], draws=1),
        recipes(["a.png"], draws=1, purpose="validation"),
        recipes(["a.png"], draws=1, params=SynthesisParams(seed=1)),
    ]
    drawn = [tuple(rows.iloc[0][["texture", "beta", "seed"]]) for rows in [base, *others]]
    assert len(set(drawn)) == len(drawn)


def test_a_given_beta_changes_nothing_else_about_the_distribution() -> None:
    fixed = recipes(["a.png", "b.png"], beta=0.7)
    assert set(fixed["beta"]) == {0.7}
    assert fixed["texture"].tolist() == recipes(["a.png", "b.png"])["texture"].tolist()


def test_textures_and_seeds_are_uniform() -> None:
    many = recipes([f"{number}.png" for number in range(2000)], draws=2)
    counts = many["texture"].value_counts()
    assert len(counts) == len(TEXTURES)
    assert stats.chisquare(counts).pvalue > 0.01
    assert many["seed"].nunique() > len(many) - 10  # of 2^32, so a repetition is rare
    assert stats.kstest(many["seed"] / 2**32, "uniform").pvalue > 0.01
    assert many["seed"].between(0, 2**32 - 1).all()


def test_a_file_keeps_every_value_and_equal_rows_are_equal_bytes(tmp_path) -> None:
    drawn = recipes(["a.png", "ä/b c.png"])
    write_recipes(drawn, tmp_path / "one.parquet")
    write_recipes(recipes(["a.png", "ä/b c.png"]), tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    read = read_recipes(tmp_path / "one.parquet")
    assert list(read.columns) == SCHEMA.names
    pd.testing.assert_frame_equal(read, drawn, check_dtype=False)


def test_images_and_draws_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        draw_recipes(["a.png", "b.png"], [0], "train", "perlin", TEXTURES, PARAMS)


def test_known_recipe() -> None:
    # A change of these numbers changes every user's synthetic defects: it must be meant.
    row = recipes(["train/good/000.png"], draws=1).iloc[0]
    assert row["texture"] == "class2/17.png"
    assert row["beta"] == 0.6083895146090552
    assert row["seed"] == 15338414
