"""What users are told of images that show the same thing: a table of pairs, notes on leaks."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from blemish.images.manifest import Row

Pairs = Sequence[tuple[int, int, float]]
Rows = Sequence[Row]


def write_twins(twins: Pairs, rows: Rows, path: Path) -> None:
    """One row a pair: both images, their splits, and how alike they are (1 is equal).

    No file where there is no pair.
    """
    if not twins:
        return
    columns = ["image", "split", "twin", "twin_split", "alike"]
    table = [
        (*_place(rows[first]), *_place(rows[second]), round(likeness, 3))
        for first, second, likeness in twins
    ]
    pd.DataFrame(sorted(table), columns=columns).to_csv(path, index=False)


def _place(row: Row) -> tuple[str, str]:
    return row["image"], row["split"]


def leak_notes(twins: Pairs, rows: Rows) -> list[str]:
    """How many images have twins, and which of the test set were seen in training."""
    if not twins:
        return []
    twinned = {position for *pair, _ in twins for position in pair}
    copies = {position for *pair, likeness in twins if likeness == 1 for position in pair}
    notes = [
        f"{len(twinned)} of {len(rows)} images have a twin in the unit ({len(copies)} an exact "
        "copy): twins.csv lists them; our own splits keep twins together."
    ]
    notes += _contradictions(twins, rows)
    leaks: dict[str, str] = {}  # test image → its twin
    for *pair, _ in twins:
        first, second = (rows[position] for position in pair)
        if (first["split"] == "test") != (second["split"] == "test"):
            tested, trained = (first, second) if first["split"] == "test" else (second, first)
            leaks[tested["image"]] = trained["image"]
    if leaks:
        image, twin = min(leaks.items())
        notes.append(
            f"The published split leaks: {len(leaks)} test image(s) have a twin among the training "
            f"normals, such as {image} and {twin}. It is left as published."
        )
    return notes


def _contradictions(twins: Pairs, rows: Rows) -> list[str]:
    pairs = [
        (rows[first], rows[second])
        for first, second, likeness in twins
        if likeness == 1 and rows[first]["label"] != rows[second]["label"]
    ]
    if not pairs:
        return []
    first, second = pairs[0]
    return [
        f"{len(pairs)} pair(s) of exact copies are labelled good and defective at once, such as "
        f"{first['image']} and {second['image']}."
    ]
