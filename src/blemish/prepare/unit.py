"""From a data set's own layout to the one layout all units share: MVTec folders + manifest."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2

from blemish.core.completeness import differing
from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.core.params import DataParams
from blemish.core.progress import progress
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.feedback import Confirmed
from blemish.images.manifest import Facts, Row, listed_tolerances, write_manifest
from blemish.images.masks import mask_notes
from blemish.images.reading import Levels
from blemish.images.zones import IGNORE
from blemish.prepare.depth import find_levels, levels_note, value_range
from blemish.prepare.dropped import drop_rows
from blemish.prepare.feedback import Known, join_feedback
from blemish.prepare.foreground import add_foregrounds
from blemish.prepare.placing import Decoded, Placed, decode, place, unique_names
from blemish.prepare.selection import SLICE, set_apart
from blemish.prepare.split import keep_groups_whole, split_items
from blemish.prepare.twin_report import leak_notes, write_twins
from blemish.prepare.twins import find_twins, join_groups
from blemish.prepare.zones import add_zones

T = TypeVar("T")
U = TypeVar("U")
Twins = Sequence[tuple[int, int, float]]


def prepare(
    data_set: DataSet,
    category: str,
    raw: Path,
    params: DataParams,
    folder: Path,
    foregrounds: Path | None = None,
    zones: Path | None = None,
    drop: Sequence[str] = (),
    feedback: Sequence[Confirmed] = (),
) -> None:
    """Fill `folder` with `train/good`, `test/<type>`, `ground_truth/<type>` and the manifest.

    Images are linked, never re-encoded; only tiles, which no publisher made, are written, as PNG.
    Each image is decoded once, so that a damaged file is found here and not in training. Masks
    become 8-bit PNG 0/255 of the image's size. Images that show the same thing stay on one side
    of our own splits; where the published split has them on both, a note says so.
    `foregrounds`: make foreground masks of the normals; hand-made ones lie in that folder.
    `zones`: the folder of the unit's zone files, which may be missing. `drop`: normal images that
    are left out. `feedback`: what people confirmed, see `join_feedback`.
    Raises UserError naming the first file that is damaged or does not fit.
    """
    unit = f"{data_set.name}/{category}"
    given = params.levels_of(unit)
    try:
        layout = data_set.layout(raw, category)
        placed = _place_all(unit, layout, raw, params, folder, given)
        counts = _count_notes(data_set, category, placed.rows)
        if feedback:
            placed = _with_feedback(unit, placed, feedback, params, folder)
        rows = placed.rows
        if foregrounds is not None:
            add_foregrounds(rows, folder, foregrounds)
    except UserError as error:
        # What is wrong must be put right where it came from: DVC would only copy it again.
        origin = f" ({raw} is a copy of {data_set.home})" if data_set.home else ""
        raise UserError(f"{error}{origin}") from None
    listed = params.zones.get(unit)
    zone_notes = add_zones(unit, rows, folder, zones, listed) if zones is not None else []
    for file in layout.files:
        link(file, folder / file.name)
    write_twins(placed.twins, rows, folder / "twins.csv")
    # A set of one scene says itself what its twins mean.
    leaks = [] if layout.one_scene else leak_notes(placed.twins, rows)
    rows, dropped = drop_rows(unit, rows, set(drop), folder)
    notes = (*layout.notes, *placed.notes, *leaks, *counts, *zone_notes, *dropped)
    named = {name: each for name, each in (listed or {}).items() if name != IGNORE}
    asked = params.framing.get(unit)
    facts = Facts(
        unit,
        layout.masks,
        layout.extra_slices,
        notes,
        placed.levels,
        tuple(named),
        listed_tolerances(named),
        asked.model_dump(exclude_none=True) if asked else None,
    )
    write_manifest(rows, facts, folder / "manifest.parquet")


class _Placed(NamedTuple):
    rows: list[Row]
    images: list[Decoded]
    twins: list[tuple[int, int, float]]
    levels: Levels | None
    notes: list[str]


def _place_all(
    unit: str, layout: Layout, raw: Path, params: DataParams, folder: Path, given: Levels | None
) -> _Placed:
    """Decode, split and place all items. given: what 16 bits mean, by the user's word."""
    # What is known to be for the test says nothing; our own split comes later.
    # Tiles share an image.
    known = list(dict.fromkeys(item.image for item in layout.items if item.split != "test"))
    ranges = {} if given else dict(zip(known, _ranges(unit, known), strict=True))
    levels = given or find_levels(ranges.values())
    images = _decode(unit, layout.items, levels)
    twins = list(
        find_twins([image.signature for image in images], [image.digest for image in images])
    )
    groups = join_groups([item.group for item in layout.items], twins)
    items = [
        dataclasses.replace(item, group=group)
        for item, group in zip(layout.items, groups, strict=True)
    ]
    if layout.own_split and not layout.one_scene:
        items = keep_groups_whole(items)
    names = unique_names(items, raw)
    splits = _split(unit, items, names, twins, params)
    items, splits, apart = _for_choosing(unit, items, splits, images, layout, params)
    trained = [ranges[item.image] for item, split in zip(items, splits, strict=True)
               if split == "train" and item.image in ranges]  # fmt: skip
    if not given and find_levels(trained) != levels:
        levels = find_levels(trained)
        images = _decode(unit, layout.items, levels)

    def place_job(job: tuple[Item, Decoded, str, str]) -> Placed:
        return place(*job, folder, levels)

    jobs = list(zip(items, images, names, splits, strict=True))
    placed = _for_each(place_job, jobs, f"preparing {unit}")
    notes = mask_notes((str(each.row["mask"]), each.mask) for each in placed)
    if levels and (given is None or any(image.deep for image in images)):
        notes.append(levels_note(levels, given is not None))
    return _Placed([each.row for each in placed], images, twins, levels, [*notes, *apart])


def _for_choosing(
    unit: str,
    items: Sequence[Item],
    splits: Sequence[str],
    images: Sequence[Decoded],
    layout: Layout,
    params: DataParams,
) -> tuple[list[Item], list[str], list[str]]:
    """Items and splits where those of `data.selection` are set apart, and a note on it."""
    wanted = params.selection.get(unit)
    if wanted is None:
        return list(items), list(splits), []
    tested = [
        "" if item.slice in layout.extra_slices else split
        for item, split in zip(items, splits, strict=True)
    ]
    digests = [image.digest for image in images]
    chosen, note = set_apart(unit, items, tested, digests, wanted, params.split_seed)
    apart = [dataclasses.replace(item, slice=SLICE) if at in chosen else item
             for at, item in enumerate(items)]  # fmt: skip
    return apart, ["val" if at in chosen else split for at, split in enumerate(splits)], [note]


def _with_feedback(
    unit: str, placed: _Placed, feedback: Sequence[Confirmed], params: DataParams, folder: Path
) -> _Placed:
    known = Known(placed.rows, placed.images, placed.twins)
    joined = join_feedback(unit, feedback, known, params, placed.levels, folder)
    return placed._replace(
        rows=[*placed.rows, *joined.rows],
        twins=joined.twins,
        notes=[*placed.notes, *joined.notes],
    )


def _ranges(unit: str, files: Sequence[Path]) -> list[Levels | None]:
    return _for_each(value_range, files, f"looking for 16-bit images of {unit}")


def _decode(unit: str, items: Sequence[Item], levels: Levels | None) -> list[Decoded]:
    return _for_each(partial(decode, levels=levels), items, f"reading {unit}")


def _split(
    unit: str, items: Sequence[Item], names: Sequence[str], twins: Twins, params: DataParams
) -> list[str]:
    shares = (params.test_fraction, params.validation_fraction)
    try:
        return split_items(items, names, *shares, params.split_seed)
    except UserError as error:
        count = len({position for first, second, _ in twins for position in (first, second)})
        twinned = f"; {count} images show the same as another one" if count else ""
        raise UserError(f"{unit}: {error}{twinned}") from None


def _for_each(work: Callable[[U], T], items: Sequence[U], title: str) -> list[T]:
    """`work` on each item, on all cores; results in order, so that the first fault is reported."""
    # OpenCV's own threads would fight with ours.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(work, items), title, len(items), "image"))


def _count_notes(data_set: DataSet, category: str, rows: Iterable[Row]) -> list[str]:
    """A note where a publisher's counts are not met: an archive of another version, or a part."""
    counts = Counter(
        "test_defective" if row["label"] else
        "test_good" if row["split"] == "test" else row["split"]
        for row in rows
    )  # fmt: skip
    expected = dict(data_set.expected.get(category, {}))
    if "val" not in expected and "train" in expected:  # our validation set is a part of theirs
        counts["train"] += counts.pop("val", 0)
    return [
        note
        for name, count in expected.items()
        for note in differing(counts[name], count, f"{name.replace('_', ' ')} images")
    ]
