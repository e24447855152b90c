"""Which kinds are drawn how often, and that a parameter changes only what it must."""

from typing import Any

import pandas as pd
import pytest
from scipy import stats

from blemish.core.errors import UserError
from blemish.core.params import KindParams, SynthesisParams, TextureParams
from blemish.synthesis.kinds import TRAINED, UNTRAINED, kind
from blemish.synthesis.recipes import draw_recipes

TEXTURES = [f"class{number % 5}/{number}.png" for number in range(40)]
SOURCES = {"self": ["a.png", "b.png"], "crops": ["0000.png", "0001.png"]}
NAMES = [f"{number}.png" for number in range(1500)]


def drawn(shares: dict[str, float] | None = None, **changes: Any) -> pd.DataFrame:
    params = SynthesisParams(kinds=KindParams(**({"perlin": 1.0} | (shares or {}))), **changes)
    kinds = params.kinds.model_dump()
    draws = [0] * len(NAMES)
    return draw_recipes(NAMES, draws, "train", kinds, TEXTURES, params, sources=SOURCES)


def test_every_kind_of_the_parameters_can_be_drawn() -> None:
    assert tuple(KindParams(perlin=1.0).root) == TRAINED
    assert not {*TRAINED} & {*UNTRAINED}
    # Held-out sets are made by kinds that no parameter can give to training.
    for name in UNTRAINED:
        with pytest.raises(ValueError, match=f"unknown kind `{name}`"):
            KindParams(**{name: 1.0})


def test_shares_are_relative() -> None:
    shares = {"perlin": 2.0, "dlas": 1.0, "spot": 0.5, "cutpaste": 0.5}
    recipes = drawn(shares)
    counts = recipes["kind"].value_counts()
    expected = [len(recipes) * shares[kind] / 4 for kind in counts.index]
    assert stats.chisquare(counts, expected).pvalue > 0.01
    pd.testing.assert_frame_equal(recipes, drawn({kind: 3 * part for kind, part in shares.items()}))


@pytest.mark.parametrize("name", sorted({*TRAINED} - {"dsarad"}))
def test_what_a_kind_is_drawn_with(name: str) -> None:
    recipes = drawn({"perlin": 0.0, name: 1.0})
    assert set(recipes["kind"]) == {name}
    beta, visibility = recipes["beta"].notna(), recipes["visibility"].notna()
    assert beta.all() == beta.any() == kind(name).blended
    assert visibility.all() == visibility.any() == (kind(name).amplitude is not None)
    known = {*TEXTURES, *SOURCES["self"], *SOURCES["crops"]} if recipes["texture"].any() else set()
    assert set(recipes["texture"].dropna()) <= known
    if name in SOURCES:
        assert set(recipes["texture"]) == set(SOURCES[name])


def test_visibility_is_a_beta_distribution_between_its_bounds() -> None:
    recipes = drawn({"perlin": 0.0, "line": 1.0}, visibility={"low": 0.3, "high": 0.7})
    share = (recipes["visibility"] - 0.3) / 0.4
    assert stats.kstest(share, stats.beta(2, 4).cdf).pvalue > 0.01


def test_another_kind_takes_rows_and_leaves_the_others_as_they_are() -> None:
    before, after = drawn(), drawn({"cutpaste": 0.5, "dlas": 0.5})
    kept = after["kind"] == "perlin"
    assert 0.4 < kept.mean() < 0.6
    pd.testing.assert_frame_equal(after[kept], before[kept])
    assert after["seed"].equals(before["seed"])
    # What becomes DLAS-Net's keeps its texture and weight: only the mask is another.
    dlas = after["kind"] == "dlas"
    columns = ["texture", "beta", "seed"]
    pd.testing.assert_frame_equal(after.loc[dlas, columns], before.loc[dlas, columns])


MIXED = {"spot": 1.0, "dsarad": 1.0, "self": 1.0, "cutpaste": 1.0, "crops": 1.0}
# A changed parameter, and the columns of the recipes that may change.
CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"blend": {"mean": 0.6}}, {"beta"}),
    ({"blend": {"high": 0.5}}, {"beta"}),
    ({"visibility": {"low": 0.4}}, {"visibility"}),
    ({"visibility": {"high": 0.5}}, {"visibility"}),
    ({"seed": 1}, {"kind", "texture", "beta", "visibility", "seed"}),
    ({"draws": 3}, set()),
    ({"size": 512}, set()),
    ({"cell": 16}, set()),
    ({"validation_images": 3}, set()),
    ({"weak": [0.2]}, set()),
    ({"weak_visibility": [0.2]}, set()),
    ({"weak_images": 3}, set()),
    ({"textures": TextureParams(seed=5)}, set()),  # changes the bank, not a row's draw from it
]


@pytest.mark.parametrize(("change", "columns"), CHANGES)
def test_a_parameter_changes_only_what_it_must(change: dict[str, Any], columns: set[str]) -> None:
    before, after = drawn(MIXED), drawn(MIXED, **change)
    changed = {name for name in before if not before[name].equals(after[name])}
    assert changed == columns


def test_every_parameter_of_synthesis_is_tried() -> None:
    assert {name for change, _ in CHANGES for name in change} | {"kinds"} == set(
        SynthesisParams.model_fields
    )


def test_shares_that_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="every share is 0: give at least one kind"):
        KindParams(perlin=0.0)
    with pytest.raises(UserError, match="every share is 0"):
        draw_recipes(["a"], [0], "train", {"perlin": 0.0}, TEXTURES, SynthesisParams())
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        KindParams(dlas=-1.0)
    with pytest.raises(UserError, match=r"`synthesis\.kinds\.crops` is above 0, but there is no"):
        draw_recipes(["a"], [0], "train", "crops", TEXTURES, SynthesisParams())
