"""ksdd2: KolektorSDD2, surfaces of production items with pixel masks (Bozic et al.)."""

from collections.abc import Iterator
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    holding,
    known_entry,
    link_images,
    listing,
)
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked
from blemish.images.masks import read_mask

HOME = "vicos.si/resources/kolektorsdd2"
ARCHIVES = (hand_placed("KolektorSDD2", f"go.vicos.si/kolektorsdd2 ({HOME})"),)
PARTS = ("train", "test")
MASK = "_GT"


def fetch(_category: str, folder: Path) -> None:
    """Link `train/` and `test/`: images and, beside them, masks."""
    root = find_folder(unpacked(ARCHIVES[0]), holding(*PARTS), "train/ and test/ somewhere in it")
    for part in PARTS:
        link_images(known_entry(root, part), folder / part)


def layout(folder: Path, _category: str) -> Layout:
    """`NNNNN.png` with its mask `NNNNN_GT.png`: an empty mask says that the image is good."""
    items: list[Item] = []
    unused = 0
    for part in PARTS:
        for image, mask in _pairs(folder, part):
            is_defective = bool(read_mask(mask).any())
            if is_defective and part == "train":
                unused += 1
            else:
                kind = "defect" if is_defective else "good"
                items.append(Item(image, kind, part, mask if is_defective else None))
    note = (
        f"The published training part is for supervised methods: its {unused} defective images are "
        "not used."
    )
    return Layout(items, masks="pixel", notes=(note,))


def _pairs(folder: Path, part: str) -> Iterator[tuple[Path, Path]]:
    """The images of a part that are named by number, with their masks; other files are none."""
    images = [image for image in images_in(folder / part) if image.stem.isdecimal()]
    if not images:
        there = listing(folder / part) if entry(folder, part) else "nothing"
        raise UserError(f"{folder}/{part}: expected 10000.png and 10000_GT.png …; found {there}")
    for image in images:
        mask = entry(folder, f"{part}/{image.stem}{MASK}{image.suffix}")
        if mask is None:
            raise UserError(
                f"{image}: its mask {image.stem}{MASK}.png is missing: fetch the archive again"
            )
        yield image, mask


DATA_SETS = (
    DataSet(
        name="ksdd2",
        title="KolektorSDD2, surfaces",
        categories=("surface",),
        licence="CC BY-NC-SA 4.0",
        citation="Bozic et al., Mixed supervision for surface-defect detection: from weakly to "
        "fully supervised learning, Computers in Industry (2021)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        expected={"surface": {"train": 2085, "test_good": 894, "test_defective": 110}},
    ),
)
