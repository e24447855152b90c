"""Files of predictions: a table of scores, and files for each image. None is ever half-written."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import finished_file, write_json
from blemish.evaluation.drawing import colours, outlined, overlay, with_zones
from blemish.methods.zone_rules import ZoneRule, above_threshold
from blemish.predict.labelme import annotation
from blemish.predict.stream import Prediction
from blemish.predict.verdict import Rules


class Row(TypedDict):
    """The numbers of one image; `decision` is 1 for an alarm, `area` that of all regions.

    Where zones with names decide, `zone_alarms` are those that are alarms, such as "rim, rest".
    """

    image: str
    score: float
    decision: int
    threshold: float
    regions: int
    area: int
    map_maximum: float
    width: int
    height: int
    zone_alarms: NotRequired[str]


COLUMNS: dict[str, pa.DataType] = {
    "image": pa.string(), "score": pa.float64(), "decision": pa.int8(), "threshold": pa.float64(),
    "regions": pa.int32(), "area": pa.int64(), "map_maximum": pa.float64(), "width": pa.int32(),
    "height": pa.int32(),
}  # fmt: skip
ZONE_ALARMS: dict[str, pa.DataType] = {"zone_alarms": pa.string()}  # a further one
ROWS = 1000  # rows of a table in memory

Write = Callable[[Prediction], None]


def row_of(prediction: Prediction) -> Row:
    """The table's row of one image."""
    verdict = prediction.verdict
    row: Row = {
        "image": text_of(prediction.source.path),
        "score": verdict.score,
        "decision": int(verdict.defective),
        "threshold": verdict.threshold,
        "regions": len(verdict.regions),
        "area": sum(region.area for region in verdict.regions),
        "map_maximum": float(verdict.map.max()),
        "width": prediction.size[1],
        "height": prediction.size[0],
    }
    if verdict.zone_alarms is not None:
        named = verdict.zone_alarms.items()
        row["zone_alarms"] = ", ".join(name for name, alarm in named if alarm)
    return row


def text_of(path: Path) -> str:
    """A path as text; bytes in names that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


@contextmanager
def score_table(file: Path, zones: bool = False) -> Iterator[Callable[[Row], None]]:
    """Yield what takes rows; `file`, CSV or Parquet, is there when the block ends well.

    zones: whether rows have `zone_alarms`.
    """
    columns = COLUMNS | ZONE_ALARMS if zones else COLUMNS
    with _write_errors_named(file), finished_file(file) as temporary:
        if file.suffix.lower() == ".parquet":
            with _parquet(temporary, columns) as add:
                yield add
        else:
            with temporary.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, columns, lineterminator="\n")
                writer.writeheader()
                yield writer.writerow


@contextmanager
def _parquet(file: Path, columns: dict[str, pa.DataType]) -> Iterator[Callable[[Row], None]]:
    schema, rows = pa.schema(list(columns.items())), list[Row]()
    with pq.ParquetWriter(file, schema) as writer:

        def add(row: Row) -> None:
            rows.append(row)
            if len(rows) == ROWS:
                flush()

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema))
            rows.clear()

        yield add
        flush()


@dataclass(frozen=True)
class Pictures:
    """Heat maps or overlays as PNG. Colours span `low` to `high`, in all pictures alike. What is
    ignored is hatched; zones have thin borders. rules: of zones with names."""

    folder: Path
    low: float
    high: float
    map_threshold: float
    over_image: bool
    rules: Sequence[ZoneRule] = ()

    @classmethod
    def by(cls, rules: Rules, level: float, folder: Path, over_image: bool) -> "Pictures":
        """With the map's threshold in the middle of the colours, which begin at `level`."""
        span = max(rules.map_threshold - level, 1e-12)
        return cls(folder, level, level + 2 * span, rules.map_threshold, over_image, rules.zones)

    def __call__(self, prediction: Prediction) -> None:
        picture = self._drawn(prediction)
        with _finished_quickly(_target(self.folder, prediction, ".png")) as file:
            Image.fromarray(picture).save(file, format="PNG", compress_level=3)

    def _drawn(self, prediction: Prediction) -> np.ndarray:
        anomaly_map, zones = prediction.verdict.map, prediction.verdict.zones
        if self.over_image:
            above = above_threshold(anomaly_map, zones, self.rules, self.map_threshold)
            heat = overlay(prediction.image, anomaly_map, self.low, self.high)
            return outlined(with_zones(heat, zones), None, above)
        heat = colours(np.clip((anomaly_map - self.low) / (self.high - self.low), 0, 1))
        return with_zones(heat, zones)


@dataclass(frozen=True)
class RawMaps:
    """The anomaly maps themselves: float32 (H, W) as NPY, as `blemish metrics` reads them, or
    float16 as TIFF, which benchmark.mvtec.com takes."""

    folder: Path
    as_tiff: bool = False

    def __call__(self, prediction: Prediction) -> None:
        suffix = ".tiff" if self.as_tiff else ".npy"
        with (
            _finished_quickly(_target(self.folder, prediction, suffix)) as file,
            file.open("wb") as stream,
        ):
            if self.as_tiff:
                largest = np.finfo(np.float16).max
                halves = np.clip(prediction.verdict.map, -largest, largest).astype(np.float16)
                tifffile.imwrite(stream, halves)
            else:
                np.save(stream, prediction.verdict.map)


@dataclass
class LabelMe:
    """LabelMe's JSON. A file that is there may hold a person's work: it stays unless `overwrite`.

    kept: how many stayed.
    """

    folder: Path
    label: str
    overwrite: bool
    kept: int = field(default=0, init=False)

    def __call__(self, prediction: Prediction) -> None:
        target = _target(self.folder, prediction, ".json")
        if target.exists() and not self.overwrite:
            self.kept += 1
            return
        path, verdict = prediction.source.path, prediction.verdict
        regions, decision = verdict.regions, (verdict.defective, verdict.zone_alarms)
        content = annotation(target, path, prediction.size, regions, self.label, *decision)
        content["imagePath"] = text_of(Path(content["imagePath"]))
        with _finished_quickly(target) as file:
            write_json(file, content)


def _target(folder: Path, prediction: Prediction, suffix: str) -> Path:
    return folder / prediction.source.name.with_suffix(suffix)


@contextmanager
def _finished_quickly(target: Path) -> Iterator[Path]:
    """As `finished_file`, which lists the folder each time: too slow for as many files."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    with _write_errors_named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _write_errors_named(target: Path) -> Iterator[None]:
    """Turn a full disk, or a folder that may not be written, into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from None
