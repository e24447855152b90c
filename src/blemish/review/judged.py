"""What `blemish predict` or `blemish watch` judged: a table of scores, and pictures beside it."""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from blemish.core.errors import UserError

TABLES = ("scores.csv", "scores.parquet")
OVERLAYS, LABELME = "overlays", "labelme"
NEEDED = ("image", "score", "threshold", "decision")


@dataclass(frozen=True)
class Judged:
    """An image of the table. key: stands for its name in addresses. name: as the table has it."""

    key: str
    name: str
    file: Path
    score: float
    threshold: float
    alarm: bool

    @property
    def doubt(self) -> float:
        """How far the score is from the threshold: the nearest is the most doubtful."""
        return abs(self.score - self.threshold)


@dataclass(frozen=True)
class JudgedFolder:
    """A table of scores in a folder, with `overlays/` and `labelme/` where these were asked for.

    images: what the table's paths start from.
    """

    folder: Path
    images: Path

    def read(self) -> list[Judged]:
        """The images that are still there, the most doubtful first; of a name the last row counts.

        Raises UserError where there is no table, or a row of it cannot be used.
        """
        table = next(
            (self.folder / name for name in TABLES if (self.folder / name).is_file()), None
        )
        if table is None:
            raise UserError(
                f"{self.folder}: holds no {' or '.join(TABLES)}: let `blemish predict` or `blemish "
                f"watch` write it, with `--scores {self.folder / TABLES[0]}`"
            )
        found = {}
        for number, row in enumerate(_rows(table), 2):
            if not row.get("error"):
                judged = self._judged(row, f"{table}, row {number}")
                found[judged.name] = judged
        there = [one for one in found.values() if one.file.is_file()]
        if found and not there:
            first = next(iter(found.values())).file
            raise UserError(
                f"{table}: none of its images is there, such as {first}: say with `--images` from "
                "which folder their paths start"
            )
        return sorted(there, key=lambda one: (one.doubt, one.name))

    def overlay(self, judged: Judged) -> Path | None:
        """The image under its map, if there is one."""
        return self._beside(OVERLAYS, judged, ".png")

    def draft(self, judged: Judged) -> Path | None:
        """A LabelMe file about the image: of `labelme/`, or one beside the image itself."""
        beside = judged.file.with_suffix(".json")
        return self._beside(LABELME, judged, ".json") or (beside if beside.is_file() else None)

    def _beside(self, kind: str, judged: Judged, suffix: str) -> Path | None:
        """`predict` names results by the image's path below its folder, `watch` by the whole name:
        the longest end of the path under which there is one."""
        parts = Path(judged.name).parts
        for start in range(len(parts)):
            end = Path(*parts[start:])
            if end.is_absolute() or ".." in end.parts:
                continue
            for name in (end.with_name(end.name + suffix), end.with_suffix(suffix)):
                if (self.folder / kind / name).is_file():
                    return self.folder / kind / name
        return None

    def _judged(self, row: Mapping[str, Any], where: str) -> Judged:
        try:
            name = str(row["image"])
            score, threshold = float(row["score"]), float(row["threshold"])
            alarm = bool(int(row["decision"]))
            if not (name and "\0" not in name and math.isfinite(score + threshold)):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{where}: has no {', '.join(NEEDED)} of `blemish predict` or `blemish watch`: "
                "judge the images again"
            ) from None
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        return Judged(key, name, self.images / name, score, threshold, alarm)


def _rows(table: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if table.suffix == ".parquet":
            yield from pq.read_table(table).to_pylist()
        else:
            with table.open(encoding="utf-8", errors="replace", newline="") as stream:
                yield from csv.DictReader(stream)
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise UserError(f"{table}: not a table of scores ({error})") from None
