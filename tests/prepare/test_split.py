"""Dividing normal images: whole groups, the asked share, and stable when images are added."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item
from blemish.prepare.split import held_out, split_items

KEYS = st.lists(st.integers(0, 30).map(lambda number: f"tile-{number}"), min_size=1, max_size=120)


def good(count: int, split: str | None = None) -> list[Item]:
    return [Item(Path(f"good/{number:03d}.png"), "good", split) for number in range(count)]


def names(items: list[Item]) -> list[str]:
    return [item.image.name for item in items]


@given(KEYS, st.integers(0, 100), st.integers(0, 5))
def test_groups_stay_together_and_the_share_is_met(
    keys: list[str], percent: int, seed: int
) -> None:
    count = percent / 100 * len(keys)
    chosen = held_out(keys, count, seed)
    inside = {keys[position] for position in chosen}
    outside = {key for position, key in enumerate(keys) if position not in chosen}
    assert not inside & outside
    assert outside
    largest = max(keys.count(key) for key in keys)
    assert len(chosen) < count + largest
    if len(outside) > 1:  # more could have been taken
        assert len(chosen) >= count


@given(KEYS, st.randoms())
def test_the_order_of_images_does_not_matter(keys: list[str], random: object) -> None:
    shuffled = list(keys)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = ({line[i] for i in held_out(line, 9, 3)} for line in (keys, shuffled))
    assert one == other


def test_another_seed_gives_another_choice() -> None:
    keys = [f"{number:03d}.png" for number in range(100)]
    assert len(held_out(keys, 15, 0)) == len(held_out(keys, 15, 1)) == 15
    assert held_out(keys, 15, 0) != held_out(keys, 15, 1)


def test_an_added_image_moves_at_most_the_one_at_the_border() -> None:
    items = good(200)
    before = dict(zip(names(items), split_items(items, names(items), 0.2, 0.15, 0), strict=True))
    assert [list(before.values()).count(s) for s in ("train", "val", "test")] == [136, 24, 40]
    for added in range(50):
        more = [*items, Item(Path(f"good/added-{added}.png"), "good")]
        after = dict(zip(names(more), split_items(more, names(more), 0.2, 0.15, 0), strict=True))
        moved = [name for name in before if before[name] != after[name]]
        assert len(moved) <= 2, moved  # one at the border of test, one at that of val


def test_a_published_split_is_kept() -> None:
    defects = [Item(Path(f"test/scratch/{n:03d}.png"), "scratch", "test") for n in range(10)]
    items = [*good(40, "train"), *good(10, "test"), *defects]
    splits = split_items(items, names(items), 0.5, 0.15, 0)
    assert splits[40:] == ["test"] * 20
    assert (splits[:40].count("train"), splits[:40].count("val")) == (34, 6)


def test_equal_file_names_are_not_the_same_object() -> None:
    """good/000.png and scratch/000.png are two photographs; only `group` says otherwise."""
    defects = [Item(Path(f"scratch/{n:03d}.png"), "scratch", "test") for n in range(100)]
    items = [*good(100), *defects]
    splits = split_items(items, names(items), 0.2, 0.15, 0)[:100]
    assert [splits.count(split) for split in ("train", "val", "test")] == [68, 12, 20]
    alone = split_items(items[:100], names(items[:100]), 0.2, 0.15, 0)
    assert splits == alone


def test_good_images_of_a_defective_object_are_tested() -> None:
    tiles = [Item(Path(f"{n}.png"), "good", group=f"tile-{n // 5}") for n in range(100)]
    crack = Item(Path("crack.png"), "crack", "test", group="tile-7")
    items = [*tiles, crack]
    splits = split_items(items, names(items), 0.2, 0.15, 0)
    assert splits[35:40] == ["test"] * 5
    assert splits[:100].count("test") == 20  # the five count towards the share
    for tile in range(20):
        assert len(set(splits[5 * tile : 5 * tile + 5])) == 1
    assert (splits.count("val"), splits.count("train")) == (15, 65)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_normal_images_are_refused(count: int) -> None:
    items = good(count, "train")
    with pytest.raises(UserError, match=r"left for training and \d for validation: add normal"):
        split_items(items, names(items), 0.2, 0.15, 0)


def test_three_normal_images_suffice_where_the_split_is_published() -> None:
    items = good(3, "train")
    assert sorted(split_items(items, names(items), 0.2, 0.15, 0)) == ["train", "train", "val"]
