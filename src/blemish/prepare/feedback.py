"""What people confirmed about a unit's images joins it: good ones train and validate the next
model, defects are a slice for choosing. The test set and the split of all other images stay."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from blemish.core.params import DataParams
from blemish.datasets.dataset import Item, Outline
from blemish.images.feedback import SLICE, Confirmed
from blemish.images.labelme import labelme_shapes
from blemish.images.manifest import Row
from blemish.images.reading import Levels
from blemish.prepare.placing import Decoded, decode, place
from blemish.prepare.split import held_out
from blemish.prepare.twins import find_twins, join_groups

Pair = tuple[int, int, float]


class Known(NamedTuple):
    """The unit without feedback: its rows, their decoded images, and the pairs of twins."""

    rows: list[Row]
    images: Sequence[Decoded]
    twins: list[Pair]


class Joined(NamedTuple):
    """The rows of the feedback, pairs of twins of all rows, and what must be said."""

    rows: list[Row]
    twins: list[Pair]
    notes: list[str]


def join_feedback(
    unit: str,
    given: Sequence[Confirmed],
    known: Known,
    params: DataParams,
    levels: Levels | None,
    folder: Path,
) -> Joined:
    """Place the confirmed images in `folder` beside those of `known`.

    One that is a twin of a test image, or of an image of its group, is refused: a line says so. A
    good one goes where its twins are, else the share `validation_fraction` is held out, by whole
    groups, as of all normals. The rows of twins in `known` get their common group.

    Raises UserError naming a file that is damaged or does not fit.
    """
    decoded = [decode(Item(one.file, one.defect), levels) for one in given]
    images, count = [*known.images, *decoded], len(known.rows)
    found = find_twins([one.signature for one in images], [one.digest for one in images])
    pairs = [pair for pair in found if pair[1] >= count]
    before = [row["group"] for row in known.rows]
    groups = join_groups([*before, *[None] * len(given)], [*known.twins, *pairs])
    tested = {group for group, row in zip(groups, known.rows, strict=False)
              if group and row["split"] == "test"}  # fmt: skip
    kept = [at for at in range(len(given)) if groups[count + at] not in tested]
    splits = _splits(given, groups, known.rows, kept, params)
    for row, group in zip(known.rows, groups, strict=False):
        if any(groups[count + at] == group for at in kept):
            row["group"] = group
    rows = []
    for at in kept:
        item = _item(given[at], decoded[at], groups[count + at])
        name = f"{SLICE}-{item.image.name[:16]}{item.image.suffix}"
        rows.append(place(item, decoded[at], name, splits[at], folder, levels).row)
    position = {count + at: count + number for number, at in enumerate(kept)}
    position |= {at: at for at in range(count)}
    twins = [(position[first], position[second], alike) for first, second, alike in pairs
             if first in position and second in position]  # fmt: skip
    notes = [_said(rows), *_refused(unit, given, kept, groups, known.rows)]
    return Joined(rows, [*known.twins, *twins], notes)


def _splits(
    given: Sequence[Confirmed],
    groups: Sequence[str | None],
    rows: Sequence[Row],
    kept: Sequence[int],
    params: DataParams,
) -> dict[int, str]:
    """`train` or `val` of each that is kept; defects are in `val`."""
    splits = dict.fromkeys(kept, "val")
    placed: dict[str, str] = {}  # group → where its normals are; validation counts more
    for row, group in zip(rows, groups, strict=False):
        if group and not row["label"] and placed.get(group) != "val":
            placed[group] = row["split"]
    good = [at for at in kept if given[at].defect == "good"]
    keys = {at: groups[len(rows) + at] or given[at].file.name for at in good}
    free = [at for at in good if keys[at] not in placed]
    count = params.validation_fraction * len(free)
    validating = held_out([keys[at] for at in free], count, params.split_seed + 1)
    splits |= {at: placed[keys[at]] for at in good if keys[at] in placed}
    splits |= {at: "val" if number in validating else "train" for number, at in enumerate(free)}
    return splits


def _item(one: Confirmed, decoded: Decoded, group: str | None) -> Item:
    size = (decoded.width, decoded.height)
    shapes = labelme_shapes(one.outline, size) if one.outline else []
    outlines = tuple(_outline(shape.values) for shape in shapes)
    slice_ = "" if one.defect == "good" else SLICE
    return Item(one.file, one.defect, slice=slice_, group=group, outlines=outlines)


def _outline(values: Sequence[float]) -> Outline:
    return tuple(zip(values[::2], values[1::2], strict=True))


def _said(rows: Sequence[Row]) -> str:
    train, val = (sum(not row["label"] and row["split"] == split for row in rows)
                  for split in ("train", "val"))  # fmt: skip
    defects = sum(row["label"] for row in rows)
    return (
        f"Feedback: {train} confirmed good image(s) joined training and {val} validation; "
        f"{defects} confirmed defect(s) are the slice '{SLICE}' and in no test number."
    )


def _refused(
    unit: str,
    given: Sequence[Confirmed],
    kept: Sequence[int],
    groups: Sequence[str | None],
    rows: Sequence[Row],
) -> list[str]:
    """The line on those that are left out; standard error gets it, too."""
    out = [at for at in range(len(given)) if at not in set(kept)]
    if not out:
        return []
    group = groups[len(rows) + out[0]]
    twin = next(row["image"] for row, other in zip(rows, groups, strict=False)
                if other == group and row["split"] == "test")  # fmt: skip
    note = (
        f"{len(out)} confirmed image(s) are refused, for they show what the test set shows, such "
        f"as {given[out[0]].file.name} and {twin}."
    )
    print(f"{unit}: {note}", file=sys.stderr)
    return [note]
