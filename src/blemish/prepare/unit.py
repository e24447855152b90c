"""From a data set's own layout to the one layout all units share: MVTec folders + manifest."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2

from blemish.core.completeness import differing
from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.core.params import DataParams
from blemish.core.progress import progress
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Facts, Row, write_manifest
from blemish.prepare.foreground import add_foregrounds
from blemish.prepare.placing import Decoded, decode, place, unique_names
from blemish.prepare.split import keep_groups_whole, split_items
from blemish.prepare.twin_report import leak_notes, write_twins
from blemish.prepare.twins import find_twins, join_groups

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
) -> None:
    """Fill `folder` with `train/good`, `test/<type>`, `ground_truth/<type>` and the manifest.

    Images are linked, never re-encoded; only tiles, which no publisher made, are written, as PNG.
    Each image is decoded once, so that a damaged file is found here and not in training. Masks
    become 8-bit PNG 0/255 of the image's size. Images that show the same thing stay on one side
    of our own splits; where the published split has them on both, a note says so.
    `foregrounds`: make foreground masks of the normals; hand-made ones lie in that folder.
    Raises UserError naming the first file that is damaged or does not fit.
    """
    try:
        layout = data_set.layout(raw, category)
        unit = f"{data_set.name}/{category}"
        rows, twins = _place_all(unit, layout, raw, params, folder)
        if foregrounds is not None:
            add_foregrounds(rows, folder, foregrounds)
    except UserError as error:
        # What is wrong must be put right where it came from: DVC would only copy it again.
        origin = f" ({raw} is a copy of {data_set.home})" if data_set.home else ""
        raise UserError(f"{error}{origin}") from None
    for file in layout.files:
        link(file, folder / file.name)
    write_twins(twins, rows, folder / "twins.csv")
    # A set of one scene says itself what its twins mean.
    leaks = [] if layout.one_scene else leak_notes(twins, rows)
    notes = (*layout.notes, *leaks, *_count_notes(data_set, category, rows))
    facts = Facts(unit, layout.masks, layout.extra_slices, notes)
    write_manifest(rows, facts, folder / "manifest.parquet")


def _place_all(
    unit: str, layout: Layout, raw: Path, params: DataParams, folder: Path
) -> tuple[list[Row], Twins]:
    """Decode, split and place all items; the manifest's rows and the twins among them."""
    images = _for_each(decode, layout.items, f"reading {unit}")
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
    shares = (params.test_fraction, params.validation_fraction)
    try:
        splits = split_items(items, names, *shares, params.split_seed)
    except UserError as error:
        count = len({position for first, second, _ in twins for position in (first, second)})
        twinned = f"; {count} images show the same as another one" if count else ""
        raise UserError(f"{unit}: {error}{twinned}") from None

    def place_job(job: tuple[Item, Decoded, str, str]) -> Row:
        return place(*job, folder)

    jobs = list(zip(items, images, names, splits, strict=True))
    return _for_each(place_job, jobs, f"preparing {unit}"), twins


def _for_each(work: Callable[[U], T], items: Sequence[U], title: str) -> list[T]:
    """`work` on each item, on all cores; results in order, so that the first fault is reported."""
    # OpenCV's own threads would fight with ours.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(work, items), title, len(items), "image"))


def _count_notes(data_set: DataSet, category: str, rows: Iterable[Row]) -> list[str]:
    """A note where a publisher's counts are not met: an archive of another version, or a part."""
    counts = Counter(
        row["split"]
        if row["split"] != "test"
        else ("test_defective" if row["label"] else "test_good")
        for row in rows
    )
    expected = dict(data_set.expected.get(category, {}))
    if "val" not in expected and "train" in expected:  # our validation set is a part of theirs
        counts["train"] += counts.pop("val", 0)
    return [
        note
        for name, count in expected.items()
        for note in differing(counts[name], count, f"{name.replace('_', ' ')} images")
    ]
