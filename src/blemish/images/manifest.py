"""The manifest of a unit: one row an image, and what must be said about the unit as a whole."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from blemish.core.data_params import Tolerance, UnitFraming
from blemish.core.errors import UserError

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("mask", pa.string()),
        ("split", pa.string()),
        ("label", pa.int8()),
        ("defect", pa.string()),
        ("slice", pa.string()),
        ("group", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("digest", pa.string()),  # SHA-256 of the decoded pixels
        ("channels", pa.string()),  # folder of the defect's channels (LOCO), or null
        ("foreground", pa.string()),  # mask of the part, where defects may lie, or null
        ("zones", pa.string()),  # map of the image's zones (`images.zones`), or null
    ]
)


class Row(TypedDict, total=False):
    """A row of `SCHEMA`. Paths are relative to the unit's folder, sizes in pixels."""

    image: str
    mask: str | None
    split: str  # "train", "val" or "test"; defects of "val" are real ones for choosing
    label: int  # 0 good, 1 defective
    defect: str  # "good" or a type
    slice: str  # of the test set; "" belongs to every one
    group: str | None
    width: int
    height: int
    digest: str
    channels: str | None
    foreground: str | None
    zones: str | None


@dataclass(frozen=True)
class Facts:
    """The metadata of a manifest. `masks`: "pixel", "boxes", "polygons" (drawn) or "none";
    `levels`: which values of 16-bit files became 0 and 255, None where there are none; `zones`:
    names in the order of params.yaml, without `ignore`; `tolerances`: of each its name, false-alarm
    rate (None: the evaluation's) and least area in pixels, see `Manifest.tolerances`; `framing`:
    what `data.framing` asks of all methods, None where it asks nothing."""

    unit: str
    masks: str
    extra_slices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    levels: tuple[int, int] | None = None
    zones: tuple[str, ...] = ()
    tolerances: tuple[tuple[str, float | None, int], ...] = ()
    framing: Mapping[str, str | float] | None = None


@dataclass(frozen=True)
class Manifest:
    """Rows as in `SCHEMA`; paths are relative to `root`, the unit's folder."""

    rows: pd.DataFrame
    facts: Facts
    root: Path

    def of(self, split: str, label: int | None = None) -> pd.DataFrame:
        """The rows of one split, optionally of one label, in the manifest's order."""
        chosen = self.rows["split"] == split
        if label is not None:
            chosen &= self.rows["label"] == label
        return self.rows[chosen].reset_index(drop=True)

    def framing(self) -> UnitFraming:
        """How all methods are asked to see the unit."""
        return UnitFraming.model_validate(dict(self.facts.framing or {}))

    def tolerances(self) -> dict[str, Tolerance]:
        """Zone → tolerance, in the order of `facts.zones`; `ignore`, which needs none, is not in
        it."""
        return {
            name: Tolerance(false_alarm_rate=rate, min_area=area)
            for name, rate, area in self.facts.tolerances
        }


def write_manifest(rows: Sequence[Mapping[str, object]], facts: Facts, path: Path) -> None:
    """Write rows sorted by image path; a column that a row lacks is null there.

    Equal content gives equal bytes.
    """
    ordered = sorted(rows, key=lambda row: str(row["image"]))
    stated = {name: value for name, value in asdict(facts).items() if value is not None}
    metadata = {b"blemish": json.dumps(stated, sort_keys=True).encode()}
    table = pa.Table.from_pylist(ordered, schema=SCHEMA.with_metadata(metadata))
    pq.write_table(table, path)


def read_manifest(root: Path) -> Manifest:
    """The manifest of the unit folder `root`. Raises UserError if it is missing or another file."""
    path = root / "manifest.parquet"
    try:
        table = pq.read_table(path)
        facts = json.loads(table.schema.metadata[b"blemish"])
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: run `dvc repro prepare@{root.parent.name}/{root.name}`"
        ) from None
    except (pa.ArrowException, KeyError, TypeError, OSError) as error:
        raise UserError(
            f"{path}: not a manifest of Blemish ({error}); prepare the unit again"
        ) from None
    facts = {name: _tuples(value) for name, value in facts.items()}
    return Manifest(table.to_pandas(), Facts(**facts), root)


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def listed_tolerances(zones: Mapping[str, Tolerance]) -> tuple[tuple[str, float | None, int], ...]:
    """`Facts.tolerances` from zone → tolerance."""
    return tuple((name, each.false_alarm_rate, each.min_area) for name, each in zones.items())


def read_notes(root: Path) -> tuple[str, ...]:
    """The notes of a unit's manifest, its rows unread; none where there is no readable one."""
    try:
        metadata = pq.read_schema(root / "manifest.parquet").metadata
        return tuple(json.loads(metadata[b"blemish"])["notes"])
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError):
        return ()
