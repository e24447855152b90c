"""visa: twelve objects in three groups, with a published one-class split (Zou et al.)."""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, published_counts
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    holding,
    known_entry,
    link_file,
)
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked

HOME = "github.com/amazon-science/spot-diff"
ARCHIVES = (
    (
        Archive(
            file="VisA_20220922.tar",
            checksum="sha256:2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
            urls=("https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",),
            by_hand=HOME,
        ),
    ),
)
SPLIT = "split_csv/1cls.csv"
COLUMNS = ("object", "split", "label", "image", "mask")
DEFECTS = {"normal": "good", "anomaly": "anomaly"}
# train, good test and defective test images
COUNTS = published_counts(
    {
        "candle": (900, 100, 100),
        "capsules": (542, 60, 100),
        "cashew": (450, 50, 100),
        "chewinggum": (453, 50, 100),
        "fryum": (450, 50, 100),
        "macaroni1": (900, 100, 100),
        "macaroni2": (900, 100, 100),
        "pcb1": (904, 100, 100),
        "pcb2": (901, 100, 100),
        "pcb3": (905, 101, 100),
        "pcb4": (904, 101, 100),
        "pipe_fryum": (450, 50, 100),
        "": (8659, 962, 1200),
    }
)


def fetch(category: str, folder: Path) -> None:
    """Link the split and the images and masks that it names for one category."""
    expected = f"{SPLIT} and {category}/Data/Images somewhere in it"
    fits = holding(SPLIT, f"{category}/Data/Images")
    root = find_folder(unpacked(ARCHIVES[0]), fits, expected)
    split = known_entry(root, SPLIT)
    link_file(split, folder / SPLIT)
    for number, row in _rows(folder, category):
        for name in filter(None, (row["image"], row["mask"])):
            source = entry(root, PurePosixPath(name).as_posix())
            if source is None:
                raise UserError(f"{split}, line {number}: there is no {name} in {root}")
            link_file(source, folder / name)


def layout(folder: Path, category: str) -> Layout:
    """The one-class split; masks hold a value above 0 for each kind of defect."""
    items = []
    for number, row in _rows(folder, category):
        defect = DEFECTS.get(row["label"])
        where = f"{folder / SPLIT}, line {number}"
        if defect is None or row["split"] not in {"train", "test"}:
            raise UserError(
                f"{where}: split {row['split']!r} and label {row['label']!r}: expected train or "
                "test, normal or anomaly"
            )
        if defect != "good" and (not row["mask"] or row["split"] == "train"):
            raise UserError(f"{where}: expected anomalies in the test split, with a mask")
        mask = folder / row["mask"] if defect != "good" else None
        item = Item(folder / row["image"], defect, row["split"], mask, mask_threshold=0)
        items.append(item)  # the values of a mask number its defects
    note = "VisA's published one-class split (1cls.csv) is used."
    return Layout(items, masks="pixel", notes=(note,))


def _rows(folder: Path, category: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The line numbers and rows of one category in the published split."""
    path = folder / SPLIT
    count = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise UserError(f"{path}: expected the columns {', '.join(COLUMNS)}")
            for row in reader:
                if row["object"] == category:
                    count += 1
                    yield reader.line_num, _checked(row, f"{path}, line {reader.line_num}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a table ({error}): fetch the unit again") from None
    if not count:
        raise UserError(f"{path}: no row of {category!r}: fetch the unit again")


def _checked(row: dict[str, str], where: str) -> dict[str, str]:
    """A row with all values, whose files lie inside."""
    if any(row[column] is None for column in COLUMNS):
        raise UserError(f"{where}: a value is missing")
    for name in filter(None, (row["image"], row["mask"])):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise UserError(f"{where}: {name!r} leads outside the folder: refused")
    return row


DATA_SETS = (
    DataSet(
        name="visa",
        title="VisA, twelve objects",
        categories=tuple(filter(None, COUNTS)),
        licence="CC BY 4.0",
        citation="Zou et al., SPot-the-Difference self-supervised pre-training for anomaly "
        "detection and segmentation, ECCV (2022)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        expected=COUNTS,
    ),
)
