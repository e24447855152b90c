"""What is said about images that show the same thing: a table of pairs, and notes on leaks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

Pairs = Sequence[tuple[int, int, float]]
Rows = Sequence[dict[str, Any]]


def write_twins(twins: Pairs, rows: Rows, path: Path) -> None:
    """One row a pair: both images, their splits, and how alike they are (1 is equal).

    No file where there is no pair.
    """
    if not twins:
        return
    columns = ["image", "split", "twin", "twin_split", "alike"]
    table = [
        (*_place(rows[one]), *_place(rows[other]), round(alike, 3)) for one, other, alike in twins
    ]
    pd.DataFrame(sorted(table), columns=columns).to_csv(path, index=False)


def _place(row: dict[str, Any]) -> tuple[str, str]:
    return row["image"], row["split"]


def leak_notes(twins: Pairs, rows: Rows) -> list[str]:
    """How many images have twins, and which of the test set were seen in training."""
    if not twins:
        return []
    alike = {position for one, other, _ in twins for position in (one, other)}
    equal = {position for one, other, value in twins if value == 1 for position in (one, other)}
    notes = [
        f"{len(alike)} of {len(rows)} images have a twin in the unit ({len(equal)} an exact copy): "
        "twins.csv lists them; our own splits keep twins together."
    ]
    notes += _contradictions(twins, rows)
    leaks = {}
    for one, other, _ in twins:
        first, second = rows[one], rows[other]
        if (first["split"] == "test") != (second["split"] == "test"):
            tested, trained = (first, second) if first["split"] == "test" else (second, first)
            leaks[tested["image"]] = trained["image"]
    if leaks:
        tested, trained = min(leaks.items())
        notes.append(
            f"The published split leaks: {len(leaks)} test image(s) have a twin among the training "
            f"normals, such as {tested} and {trained}. It is left as published."
        )
    return notes


def _contradictions(twins: Pairs, rows: Rows) -> list[str]:
    pairs = [
        (rows[one], rows[other])
        for one, other, alike in twins
        if alike == 1 and rows[one]["label"] != rows[other]["label"]
    ]
    if not pairs:
        return []
    first, second = pairs[0]
    return [
        f"{len(pairs)} pair(s) of exact copies are labelled good and defective at once, such as "
        f"{first['image']} and {second['image']}."
    ]
