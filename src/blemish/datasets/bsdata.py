"""bsdata: the spindle of a ball screw as it wears, with pits in polygons (Schlagenhauf et al.)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in
from blemish.datasets.layouts.archive_tree import (
    find_folder,
    holding,
    known_entry,
    link_images,
    link_tree,
)
from blemish.datasets.layouts.boxes import Box, image_size
from blemish.datasets.layouts.labelme import labelme_polygons
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

HOME = "github.com/2Obe/BSData"
ORIGIN = f"{HOME}, Download ZIP, or a clone of it"
ARCHIVES = (
    hand_placed("BSData", ORIGIN)
    + hand_placed("BSData-main", ORIGIN)
    + hand_placed("BSData-master", ORIGIN),
)
# `01_200905041126_277500_315_crop_2.jpg`: when (yymmddhhmmss), at which position of the spindle,
# and which of two types of image; the wear series is the second.
NAME = re.compile(r"\d\d_(?P<when>\d{12})_(?P<place>\d+_\d+)_crop_2")
# Pits are annotated when they are seen: so many images before the first one of a position are
# taken as neither good nor defective.
BEFORE = 3
SOILED = (
    "Images with pits are later and more soiled than good ones, which can inflate image numbers."
)


@dataclass(frozen=True)
class Photo:
    """An image of the wear series, its time, and its pits."""

    image: Path
    when: str
    pits: list[Box]


def fetch(_category: str, folder: Path) -> None:
    """Link `data/*.jpg` and `label/*.json`."""
    root = find_folder(
        unpacked(ARCHIVES[0]), holding("data", "label"), "data/ and label/ somewhere in it"
    )
    link_images(known_entry(root, "data"), folder / "data")
    labels = known_entry(root, "label")
    link_tree(labels, folder / "label", lambda file: file.suffix.lower() == ".json", "no labels")


def layout(folder: Path, _category: str) -> Layout:
    """Good images are those well before the first pit of their position; every second position,
    in the order of names, is the test, and only there are images with pits used."""
    places, others = _places(folder)
    items: list[Item] = []
    unused = others
    for number, (place, photos) in enumerate(sorted(places.items())):
        first = next((at for at, photo in enumerate(photos) if photo.pits), len(photos) + BEFORE)
        is_test = number % 2 == 1
        for at, photo in enumerate(photos):
            if at < first - BEFORE:
                items.append(Item(photo.image, "good", "test" if is_test else "train", group=place))
            elif photo.pits and is_test:
                outlines = tuple(line for pit in photo.pits for line in pit.outlines)
                pitted = Item(photo.image, "pitting", "test", group=place, outlines=outlines)
                items.append(pitted)
            else:
                unused += 1
    if not any(item.label for item in items):
        raise UserError(f"{folder}: no image with pits in label/: fetch the unit again")
    notes = (
        "bsdata is a wear series: train and test share no position of the spindle; good are images "
        f"that end {BEFORE} before the first pit of their position; {unused} others are not used.",
        SOILED,
    )
    return Layout(items, masks="polygons", notes=notes, own_split=True)


def _places(folder: Path) -> tuple[dict[str, list[Photo]], int]:
    """The images of each position by time, and the number of images of another series."""
    places: dict[str, list[Photo]] = {}
    others = 0
    for image in images_in(folder / "data"):
        name = NAME.fullmatch(image.stem)
        if name is None:
            others += 1
        else:
            photo = Photo(image, name["when"], list(_pits(folder, image)))
            places.setdefault(name["place"], []).append(photo)
    if not places:
        raise UserError(
            f"{folder}/data: expected names like 01_200905041126_277500_315_crop_2.jpg: fetch the "
            "unit again"
        )
    return {
        place: sorted(photos, key=lambda photo: photo.when) for place, photos in places.items()
    }, others


def _pits(folder: Path, image: Path) -> Iterator[Box]:
    label = folder / "label" / f"{image.stem}.json"
    if label.is_file():
        yield from labelme_polygons(label, image_size(image))


DATA_SETS = (
    DataSet(
        name="bsdata",
        title="BSData, pits on a ball screw",
        categories=("ball-screw",),
        licence="CC BY-SA 4.0",
        citation="Schlagenhauf and Landwehr, Industrial machine tool component surface defect "
        "dataset, Data in Brief 39 (2021)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
    ),
)
