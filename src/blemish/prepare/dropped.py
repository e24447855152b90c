"""Normal images that `audit.drop` leaves out: called good, and found not to be."""

from collections.abc import Collection, Sequence
from pathlib import Path

from blemish.core.errors import UserError, suggestion
from blemish.images.manifest import Row


def drop_rows(
    unit: str, rows: Sequence[Row], names: Collection[str], folder: Path
) -> tuple[list[Row], list[str]]:
    """The rows without those whose image is in `names`, and a note that says so.

    What lies in `folder` of them goes too. All other images stay in the split where they were, so
    that results before and after can be compared. Raises UserError for a name that no training or
    validation normal has: the test set is not chosen.
    """
    if not names:
        return list(rows), []
    normals = [row["image"] for row in rows if row["split"] != "test" and not row["label"]]
    tests = {row["image"] for row in rows if row["split"] == "test"}
    for name in sorted(names):
        if name in tests:
            raise UserError(
                f"params.yaml: `audit.drop.{unit}` names {name!r}, which is a test image: what is "
                "tested is not chosen; only training and validation normals can be left out"
            )
        if name not in normals:
            raise UserError(
                f"params.yaml: `audit.drop.{unit}` names {name!r}, which no normal image of it has"
                f"{suggestion(name, normals)}: take names from audit/{unit}/audit.csv"
            )
    for row in rows:
        if row["image"] in names:
            for file in filter(None, (row["image"], row.get("foreground"), row.get("zones"))):
                (folder / file).unlink(missing_ok=True)
    kept = [row for row in rows if row["image"] not in names]
    for split in ("train", "val"):
        if not any(row["split"] == split for row in kept):
            raise UserError(f"params.yaml: `audit.drop.{unit}` leaves no image in split {split}")
    return kept, [f"{len(names)} normal images were left out by `audit.drop`"]
