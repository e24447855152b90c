"""Dividing normal images so that images of one object stay on one side."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item


def held_out(keys: Sequence[str], count: float, seed: int) -> set[int]:
    """The positions of about `count` of `keys`; equal keys (a group) are never separated.

    Groups are taken in the order of a seeded hash of their key until `count` is reached, so
    adding an image does not reshuffle the others. At least one group is taken where `count` > 0,
    and at least one is left.
    """
    sizes = Counter(keys)
    groups = sorted(sizes, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    chosen: set[str] = set()
    taken = 0
    for group in groups[:-1]:
        if taken >= count:
            break
        chosen.add(group)
        taken += sizes[group]
    return {position for position, key in enumerate(keys) if key in chosen}


def keep_groups_whole(items: Sequence[Item]) -> list[Item]:
    """For a split that is our own rule: a training normal whose group has a test image, such as its
    twin, is moved to the test set."""
    tested = {item.group for item in items if item.group and item.split == "test"}
    return [replace(item, split="test") if item.group in tested else item for item in items]


def split_items(
    items: Sequence[Item], names: Sequence[str], test: float, validation: float, seed: int
) -> list[str]:
    """`train`, `val` or `test` for each item (`names` are the images' unique names).

    A published split is kept. Where there is none, the share `test` of the good images is held
    out; good images whose group also has defective ones count towards it, for a model must not
    have seen the very object. Then, unless the publisher did so, the share `validation` of the
    training normals is held out.
    Raises UserError if fewer than two training normals or no validation normal would remain.
    """
    keys = [item.group or name for item, name in zip(items, names, strict=True)]
    splits = [item.split or "" for item in items]
    tested = {item.group for item in items if item.group and item.split == "test"}
    unpublished = splits.count("")
    for position, item in enumerate(items):
        if not splits[position] and item.group in tested:
            splits[position] = "test"
    moved = unpublished - splits.count("")
    _hold_out(splits, keys, "", "test", test * unpublished - moved, seed)
    splits = [split or "train" for split in splits]
    if "val" not in splits:
        _hold_out(splits, keys, "train", "val", validation * splits.count("train"), seed + 1)
    if splits.count("train") < 2 or "val" not in splits:
        raise UserError(
            f"{splits.count('train')} normal images are left for training and "
            f"{splits.count('val')} for validation: add normal images (a handful is needed)"
        )
    return splits


def _hold_out(
    splits: list[str], keys: list[str], source: str, target: str, count: float, seed: int
) -> None:
    """Move about `count` items, by whole groups, from split `source` to split `target`."""
    candidates = [position for position, split in enumerate(splits) if split == source]
    for index in held_out([keys[position] for position in candidates], count, seed):
        splits[candidates[index]] = target
