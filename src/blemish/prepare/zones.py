"""The zones of a unit's images: from the files that a person drew to one small map an image."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from blemish.core.data_params import Tolerance
from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.images.manifest import Row
from blemish.images.zone_files import ZoneFiles
from blemish.images.zones import IGNORE, ZoneMap, write_zone_map
from blemish.prepare.zone_sheet import describe, write_zone_sheet

ZONES = Path("data/zones")  # hand-made, <unit>/…, see docs/data.md


class _Made(NamedTuple):
    """What is kept of an image's zones: the map's file, its pixels in all, those of each zone."""

    file: Path
    pixels: int
    covered: dict[str, int]


def add_zones(
    unit: str,
    rows: Sequence[Row],
    folder: Path,
    hand_made: Path,
    listed: Mapping[str, Tolerance] | None,
) -> list[str]:
    """Write a map of zones for each image that has any, name it in its row, and draw the contact
    sheet `zones.png`; the notes that must be said of it.

    hand_made: the folder of the unit's zone files. listed: its section of `data.zones`, None where
    that does not name the unit. Images of one size that have no files of their own share one map.
    Raises UserError naming a file that fits no image or is wrong, or a zone without any file.
    """
    tolerances = listed or {}
    files = ZoneFiles(hand_made, tuple(tolerances))
    if not files and listed is not None:
        raise UserError(
            f"params.yaml: `data.zones` lists {unit}, but {hand_made} holds no file: draw its "
            "zones there, see docs/data.md, or take the unit out of `data.zones`"
        )
    if not files:
        return []
    files.check_images(_name(row) for row in rows)
    made = _make_all(unit, rows, files, folder)
    _check_all_seen(unit, files, made)
    for row, each in zip(rows, made, strict=True):
        row["zones"] = each.file.as_posix() if each else None
    pairs = [(folder / row["image"], folder / each.file)
             for row, each in zip(rows, made, strict=True) if each]  # fmt: skip
    if pairs:
        write_zone_sheet(pairs, files.names, tolerances, folder / "zones.png")
    return _notes(rows, made, {name: tolerances[name] for name in files.names})


def _make_all(unit: str, rows: Sequence[Row], files: ZoneFiles, folder: Path) -> list[_Made | None]:
    shared: dict[tuple[int, int], _Made | None] = {}
    for row in rows:
        size = (row["height"], row["width"])
        if not files.has_own(_name(row)) and size not in shared:
            target = Path("zones") / f"all-{size[1]}x{size[0]}.png"
            shared[size] = _write(files.of(_name(row), size), folder, target)

    def make(row: Row) -> _Made | None:
        size = (row["height"], row["width"])
        if not files.has_own(_name(row)):
            return shared[size]
        # As deep as the image: names alone may repeat.
        return _write(files.of(_name(row), size), folder, Path("zones") / f"{_name(row)}.png")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(make, rows), f"zones of {unit}", len(rows), "image"))


def _name(row: Row) -> str:
    return Path(row["image"]).with_suffix("").as_posix()


def _write(zones: ZoneMap | None, folder: Path, target: Path) -> _Made | None:
    if zones is None:
        return None
    write_zone_map(zones, folder / target)
    covered = {name: int(zones.of(name).sum()) for name in (*zones.names, IGNORE)}
    return _Made(target, zones.index.size, covered)


def _check_all_seen(unit: str, files: ZoneFiles, made: Sequence[_Made | None]) -> None:
    """A zone that is listed but drawn nowhere is a mistake: its tolerance would change nothing."""
    for name in files.names:
        if not any(each and each.covered[name] for each in made):
            raise UserError(
                f"params.yaml: `data.zones.{unit}.{name}`: no image has this zone: draw it in "
                f"{files.folder}, or take it out of `data.zones`"
            )


def _notes(
    rows: Sequence[Row], made: Sequence[_Made | None], tolerances: Mapping[str, Tolerance]
) -> list[str]:
    ignored = [each.covered[IGNORE] for each in made if each and each.covered[IGNORE]]
    pixels = sum(row["width"] * row["height"] for row in rows)
    notes = []
    if ignored:
        notes.append(
            f"{len(ignored)} of {len(rows)} images have an ignored zone, in all "
            f"{100 * sum(ignored) / pixels:.3g} % of the pixels; these are neither judged nor "
            "counted."
        )
    if tolerances:
        said = "; ".join(f"{name} ({describe(each)})" for name, each in tolerances.items())
        notes.append(f"Zones with tolerances of their own: {said}.")
    return notes
