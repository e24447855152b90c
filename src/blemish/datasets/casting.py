"""casting: pump impellers seen from above, without masks (Dabhi, Kaggle)."""

from pathlib import Path

from blemish.core.completeness import differing
from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in
from blemish.datasets.layouts.archive_tree import (
    find_folder,
    folders_in,
    holding,
    known_entry,
    link_images,
)
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

SLUG = "real-life-industrial-dataset-of-casting-product"
HOME = f"kaggle.com/datasets/ravirajsinh45/{SLUG}"
ARCHIVES = (hand_placed("casting", f"{HOME}, renamed") + hand_placed(SLUG, HOME),)
KINDS = {"ok_front": "good", "def_front": "defect"}
TOP = "casting_512x512"
PUBLISHED = {"good": 519, "defect": 781}


def fetch(_category: str, folder: Path) -> None:
    """Link the 1,300 photographs; `casting_data/` holds augmented copies of them."""

    def fits(place: Path) -> bool:
        return place.name.casefold() == TOP and holding(*KINDS)(place)

    expected = f"{TOP}/ with {' and '.join(KINDS)} somewhere in it"
    source = find_folder(unpacked(ARCHIVES[0]), fits, expected)
    for name in KINDS:
        link_images(known_entry(source, name), folder / name)


def layout(folder: Path, _category: str) -> Layout:
    """One folder a label."""
    items = []
    notes = [
        "casting has no masks: only image metrics are given.",
        "The published split leaks (casting_data/train and test hold augmented copies of the same "
        f"castings) and is not used: the photographs of {TOP} are divided by a seeded rule that "
        "keeps twins together.",
    ]
    for name, kind in KINDS.items():
        images = list(images_in(folder / name))
        if not images:
            there = ", ".join(inner.name for inner in folders_in(folder)) or "nothing"
            raise UserError(f"{folder}/{name}: no images: fetch the unit again (found {there})")
        split = None if kind == "good" else "test"
        items += [Item(image, kind, split) for image in images]
        if kind == "good":
            notes += differing(len(images), PUBLISHED[kind], f"images in {name}")
    return Layout(items, masks="none", notes=tuple(notes))


DATA_SETS = (
    DataSet(
        name="casting",
        title="Castings of pump impellers",
        categories=("impeller",),
        licence="CC BY-NC-ND 4.0",
        citation="Dabhi, Casting product image data for quality inspection, Kaggle (2020)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        expected={"impeller": {"test_defective": PUBLISHED["defect"]}},
    ),
)
