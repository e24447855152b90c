"""Letters beside numbers: which methods differ by more than chance."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blemish.core.workspace import Run
from blemish.report.conditions import SHARED, conditions
from blemish.report.tables import leaderboard
from blemish.report.uncertainty import letter_display
from tests.report.runs import a_run, printed

METHODS = ["glass", "dlas", "dmad", "esad", "patchcore"]


@given(st.sets(st.sampled_from(list(combinations(METHODS, 2)))))
def test_two_methods_share_a_letter_if_and_only_if_they_are_alike(
    alike: set[tuple[str, str]],
) -> None:
    letters = letter_display(METHODS, alike)
    assert set(letters) == set(METHODS)
    assert all(letters.values())
    assert letters["glass"].startswith("a")
    for pair in combinations(METHODS, 2):
        left, right = (set(letters[method]) for method in pair)
        assert bool(left & right) == (pair in alike)


def test_a_chain_of_alike_methods_gives_the_middle_one_both_letters() -> None:
    assert letter_display(["glass", "dmad", "esad"], [("esad", "dmad"), ("glass", "dmad")]) == {
        "glass": "a",
        "dmad": "ab",
        "esad": "b",
    }


def drawn(method: str, mean: float) -> Run:
    """A run whose bootstrap draws of one metric lie around `mean`, apart from other methods'."""
    run = a_run("a/b", method, 0, metrics={"image_auroc": mean})
    random = np.random.default_rng(len(method))
    draws = pd.DataFrame({"image_auroc": random.normal(mean, 0.01, 400)})
    draws.to_parquet(run.results / "bootstrap.parquet")
    return run


def test_the_leaderboard_has_the_letters_and_one_sentence_says_what_they_mean() -> None:
    runs = [drawn("esad", 0.70), drawn("glass", 0.901), drawn("dmad", 0.905)]
    letters = {row["method"]: row["letters"] for row in leaderboard(runs)}
    assert letters == {
        "esad": {"image_auroc": "b"},
        "glass": {"image_auroc": "a"},
        "dmad": {"image_auroc": "a"},
    }
    assert conditions(runs).count(SHARED) == 1
    text = printed(runs, 80)
    assert "0.905 a" in text
    assert "0.700 b" in text
    assert " ".join(SHARED.split()) in " ".join(text.split())


@pytest.mark.parametrize("number", [1, 2])
def test_there_are_no_letters_where_nothing_is_compared(number: int) -> None:
    runs = [drawn("glass", 0.9), a_run("a/b", "dmad", 0)][:number]
    assert all(row["letters"] == {} for row in leaderboard(runs))
    assert SHARED not in conditions(runs)
