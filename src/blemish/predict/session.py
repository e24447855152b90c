"""One run of `blemish predict`: checks first, then the stream, then the summary."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from blemish.core.device import choose_device
from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.core.surroundings import printable_json, say
from blemish.methods.saved import Record, load
from blemish.predict.drift import Drift
from blemish.predict.inputs import Source, check_distinct, find_images
from blemish.predict.outputs import LabelMe, Pictures, RawMaps, Row, Write, row_of, score_table
from blemish.predict.stream import Prediction, Unreadable, predict_each
from blemish.predict.summary import Summary, Tally
from blemish.predict.trained import TrainedDetector, check_device, cores, rules_of
from blemish.predict.verdict import Rules
from blemish.predict.zones import open_zones

SKIPPED, INTERRUPTED = 3, 130  # exit statuses; after the first all the rest is written
TABLES = (".csv", ".parquet")

Result = Prediction | Unreadable


@dataclass(frozen=True)
class Request:
    """The options of the command; None where one is not given."""

    model: Path
    images: Sequence[str]
    scores: Path | None
    labelme: Path | None
    heatmaps: Path | None
    overlays: Path | None
    maps: Path | None
    false_alarm_rate: float
    threshold: float | None
    map_threshold: float | None
    min_area: int
    tolerance: float
    label: str
    overwrite: bool
    device: str
    as_json: bool
    maps_as_tiff: bool = False
    zones: Path | None = None

    @property
    def folders(self) -> dict[str, Path]:
        """The output folders that are wanted, by option."""
        names = ("labelme", "heatmaps", "overlays", "maps")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def run(request: Request) -> int:
    """Predict all that `request` names; returns the exit status.

    Raises:
        UserError: before anything is written, for an option, a path or a model that cannot be
            used; later, for an output that cannot be written or a model that gives NaN.
    """
    _check_options(request)
    sources = find_images(request.images, list(request.folders.values()))
    if request.folders:
        check_distinct(sources)
        _check_inputs_stay(request, sources)
    detector = _open(request)
    record, rules, tally = detector.record, detector.rules, Tally()
    zones = open_zones(request.zones, request.model, record, sources)
    writers, drift = _writers(request, rules, record), Drift.of(record, rules)
    try:
        results = predict_each(detector, sources, zones.of)
        _stream(request, results, len(sources), writers, tally, drift)
    except KeyboardInterrupt:
        done = tally.images + len(tally.unreadable)
        missing = f", {request.scores} is not written" if request.scores else ""
        print(f"interrupted after {done} of {len(sources)} images{missing}", file=sys.stderr)
        return INTERRUPTED
    kept = sum(writer.kept for writer in writers if isinstance(writer, LabelMe))
    summary = Summary(record, rules, tally, kept, zones.notes(), drift.lines)
    if request.as_json:
        print(printable_json({"summary": summary.as_json()}))
    else:
        given = (request.threshold, request.map_threshold)
        for line in summary.lines(request.false_alarm_rate, given):
            say(line, sys.stderr)
    return SKIPPED if tally.unreadable else 0


def _check_options(request: Request) -> None:
    """Raise UserError for options that cannot be used, before any image is read."""
    check_device(request.device, "`--device`")
    for name in ("threshold", "map_threshold", "tolerance"):
        value = getattr(request, name)
        if value is not None and not math.isfinite(value):
            raise UserError(f"`--{name.replace('_', '-')}` is {value}: give a number")
    table = request.scores
    if table and (table.suffix.lower() not in TABLES or table.is_dir()):
        raise UserError(f"`--scores` is {str(table)!r}: name a file that ends in .csv or .parquet")
    taken: dict[str, str] = {}
    for name, folder in request.folders.items():
        if folder.exists() and not folder.is_dir():
            raise UserError(f"`--{name}` is {str(folder)!r}, a file: name a folder")
        other = taken.setdefault(os.path.realpath(folder), name)
        if {name, other} == {"heatmaps", "overlays"}:
            raise UserError("`--heatmaps` and `--overlays` are one folder: name two")


def _check_inputs_stay(request: Request, sources: Sequence[Source]) -> None:
    """Raise UserError where a picture would be written over an image."""
    inputs = {os.path.realpath(source.path) for source in sources}
    suffixes = {"heatmaps": ".png", "overlays": ".png"}
    suffixes |= {"maps": ".tiff"} if request.maps_as_tiff else {}
    for name, folder in request.folders.items():
        for source in sources if name in suffixes else ():
            target = folder / source.name.with_suffix(suffixes[name])
            if os.path.realpath(target) in inputs:
                raise UserError(f"`--{name}` would replace the image {target}: name another folder")


def _open(request: Request) -> TrainedDetector:
    network, record = load(request.model, choose_device(request.device, where="`--device`"))
    thresholds = (request.false_alarm_rate, request.threshold, request.map_threshold)
    rules = rules_of(record, *thresholds, request.min_area, request.tolerance)
    return TrainedDetector(network, record, rules, threads=cores())


def _writers(request: Request, rules: Rules, record: Record) -> list[Write]:
    """What writes the files of each image."""
    level = record.validation.map_level
    writers: list[Write] = []
    if request.labelme:
        writers.append(LabelMe(request.labelme, request.label, request.overwrite))
    if request.heatmaps:
        writers.append(Pictures.by(rules, level, request.heatmaps, False))
    if request.overlays:
        writers.append(Pictures.by(rules, level, request.overlays, True))
    if request.maps:
        writers.append(RawMaps(request.maps, request.maps_as_tiff))
    return writers


def _stream(
    request: Request,
    results: Iterator[Result],
    total: int,
    writers: list[Write],
    tally: Tally,
    drift: Drift,
) -> None:
    printed = request.as_json or not (writers or request.scores)
    if not (printed and sys.stdout.isatty()):  # lines on a terminal are progress enough
        results = progress(results, "predicting", total, "image")
    zoned = bool(drift.rules.zones)
    with score_table(request.scores, zoned) if request.scores else nullcontext() as table:
        for result in results:
            if isinstance(result, Unreadable):
                tally.unreadable.append(result.reason)
                print(f"skipped: {result.reason}", file=sys.stderr)
                continue
            row = row_of(result)
            tally.add(row, result.verdict.seen)
            drift.add(row["image"], result.verdict)
            for write in writers:
                write(result)
            if table:
                table(row)
            if printed:
                print(printable_json(row) if request.as_json else _line(row))


def _line(row: Row) -> str:
    verdict = "alarm" if row["decision"] else "-"
    zones = f"  (in {row['zone_alarms']})" if row.get("zone_alarms") else ""
    regions = f"{row['regions']:3} region(s)"
    return f"{verdict:5}  {row['score']:<10.5g}  {regions}  {row['image']}{zones}"
