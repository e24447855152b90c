"""What `blemish units` says: every data set, how to get it, and all that is known about a unit."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from blemish.datasets.dataset import DataSet, data_set, for_category, split_unit
from blemish.datasets.registry import DATA_SETS, check_category, check_unit
from blemish.download.archive import DOWNLOADS, Archive
from blemish.download.places import availability
from blemish.images.manifest import read_manifest

PREPARED = Path("data/prepared")
COLOURS = {"ready": "green", "downloadable": "cyan", "by hand": "yellow"}
Record = dict[str, Any]


def records(folders: Mapping[str, str]) -> list[Record]:
    """One record a unit; a data set whose categories are the archive's has one without a unit."""
    return [
        record for name in [*DATA_SETS, *folders] for record in _records_of(data_set(name, folders))
    ]


def _records_of(known: DataSet) -> list[Record]:
    return [describe(known, category) for category in known.categories or ("",)]


def describe(known: DataSet, category: str) -> Record:
    """What is known about a unit without reading its data, as plain JSON values."""
    needed = [for_category(alternatives, category) for alternatives in known.archives]
    states = [availability(alternatives) for alternatives in needed]
    if known.fault:
        states.append("by hand")
    if known.package:
        states.append("ready" if find_spec(known.package) else "by hand")
    return {
        "unit": f"{known.name}/{category}" if category else None,
        "data_set": known.name,
        "category": category or None,
        "title": known.title,
        "status": max(states, key=list(COLOURS).index, default="ready"),
        "licence": known.licence,
        "citation": known.citation,
        "home": known.home,
        "open_categories": known.open_categories,
        "expected": dict(known.expected.get(category, {})),
        "archives": [
            {
                "status": availability(alternatives),
                "put_into": str(DOWNLOADS),
                "alternatives": [_archive(archive) for archive in alternatives],
            }
            for alternatives in needed
        ],
    }


def _archive(archive: Archive) -> Record:
    return {
        "file": archive.file,
        "checksum": archive.checksum or None,
        "size": archive.size or None,
        "urls": list(archive.urls),
        "by_hand": archive.by_hand or None,
    }


def one_unit(unit: str, folders: Mapping[str, str]) -> Record:
    """Everything about one unit, with what is on disk. Raises UserError if it cannot exist."""
    check_unit(unit, folders, "the unit")
    name, category = split_unit(unit)
    known = data_set(name, folders)
    if name in folders and not known.fault:
        check_category(known, unit, "the unit")
    return {**describe(known, category), "prepared": _prepared(unit)}


def _prepared(unit: str) -> Record | None:
    """Counts, masks and notes of `data/prepared/<unit>`, None if it is not there."""
    if not (PREPARED / unit / "manifest.parquet").is_file():
        return None
    manifest = read_manifest(PREPARED / unit)
    rows = manifest.rows
    return {
        "counts": {split: int(count) for split, count in rows["split"].value_counts().items()},
        "test_defective": int(((rows["split"] == "test") & (rows["label"] == 1)).sum()),
        "defects": {kind: int(count) for kind, count in rows["defect"].value_counts().items()},
        "masks": manifest.facts.masks,
        "notes": list(manifest.facts.notes),
    }


def print_catalogue(folders: Mapping[str, str], console: Console) -> None:
    """One row a data set, and below the table what has to be done by hand."""
    table = Table("data set", "what it is, and its categories", box=None, padding=(0, 2, 1, 0))
    table.add_column("status", no_wrap=True)
    table.add_column("licence")
    waiting: dict[str, None] = {}
    for name in [*DATA_SETS, *folders]:
        known = data_set(name, folders)
        units = _records_of(known)
        states = sorted({record["status"] for record in units}, key=list(COLOURS).index)
        status = Text(" / ".join(states), style=COLOURS[states[0]])
        if "by hand" in states:
            waiting.update(dict.fromkeys(_to_do(units[-1])))
        what = Text.assemble((f"{known.title}\n", "bold"), _category_names(known))
        table.add_row(f"{name}/", what, status, known.licence)
    console.print(table)
    if waiting:
        console.print(
            f"By hand: put these archives, or folders of what is in them, into {DOWNLOADS}/ or "
            "into the folder BLEMISH_MIRROR names:",
            highlight=False,
        )
    for line in waiting:
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    console.print("`blemish units mvtec/screw` tells all about one.", highlight=False)


def _category_names(known: DataSet) -> str:
    return known.fault or " ".join(known.categories) or "the archive's folders"


def _to_do(record: Record) -> list[str]:
    """A line for each archive that only a person can fetch: which, and from where."""
    return [
        f"{record['data_set']}: {_names(need['alternatives'])} from "
        f"{need['alternatives'][0]['by_hand']}"
        for need in record["archives"]
        if need["status"] == "by hand"
    ]


def _names(alternatives: list[Record]) -> str:
    """`MPDD.zip (or .tar.gz, .tar)`: the packings of one archive together."""
    stems: dict[str, list[str]] = {}
    for archive in alternatives:
        stem, dot, packing = archive["file"].partition(".")
        stems.setdefault(stem, []).append(dot + packing)
    words = []
    for stem, packings in stems.items():
        others = f" (or {', '.join(packings[1:])})" if packings[1:] else ""
        words.append(f"{stem}{packings[0]}{others}")
    return " or ".join(words)


def print_unit(unit: str, folders: Mapping[str, str], console: Console) -> None:
    """Everything about one unit, as lines `what  value`."""
    record = one_unit(unit, folders)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("unit", Text(unit, style="bold"))
    for key in ("title", "status", "licence", "citation", "home"):
        table.add_row(key, Text(record[key], style=COLOURS.get(record[key], "")))
    table.add_row("categories", _category_names(data_set(record["data_set"], folders)))
    table.add_row("published", _pairs(record["expected"]) or "no counts for this unit")
    for need in record["archives"]:
        table.add_row("archive", f"{_names(need['alternatives'])}: {need['status']}")
    for key, value in _prepared_rows(record["prepared"]):
        table.add_row(key, value)
    console.print(table)
    for line in (line for need in record["archives"] for line in _archive_lines(need)):
        # Never broken by us: an address or a checksum is there to be copied.
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)


def _archive_lines(need: Record) -> list[str]:
    """An archive's alternatives: sizes, checksums, URLs, and where to put it."""
    lines = []
    for archive in need["alternatives"]:
        size = f"{archive['size']:,} bytes" if archive["size"] else ""
        known = [word for word in (size, archive["checksum"]) if word]
        lines += [f"{archive['file']}: {', '.join(known)}"] if known else []
        lines += [f"  {url}" for url in archive["urls"]]
    origins = dict.fromkeys(
        archive["by_hand"] for archive in need["alternatives"] if archive["by_hand"]
    )
    return lines + [f"by hand: from {origin} into {need['put_into']}/" for origin in origins]


def _prepared_rows(prepared: Record | None) -> list[tuple[str, str]]:
    if prepared is None:
        return [("on disk", "not prepared yet: add it to `units` in params.yaml, `dvc repro`")]
    counts = f"{_pairs(prepared['counts'])} ({prepared['test_defective']} of the test defective)"
    return [
        ("on disk", counts),
        ("types", _pairs(prepared["defects"])),
        ("masks", prepared["masks"]),
        *(("note", note) for note in prepared["notes"]),
    ]


def _pairs(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
