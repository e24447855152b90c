"""mvtec2: MVTec AD 2, eight scenes under changing light; two of its three test sets are secret."""

from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, for_category, images_in
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    holding,
    link_images,
)
from blemish.datasets.layouts.mvtec_archive import checked_masks
from blemish.datasets.layouts.mvtec_folders import find_mask, masks_by_stem
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked

HOME = "mvtec.com/company/research/datasets/mvtec-ad-2"
ARCHIVES = (
    (
        # One category an archive; no checksums are published.
        Archive(file="{category}.tar.gz", by_hand=HOME),
        Archive(
            file="mvtec_ad_2.tar.gz",
            checksum="sha256:c0ded99ef32bfc8e352d52beb44515e5b292b8598cb963aadfa91ca0763505e4",
            size=32_739_596_982,
            urls=(
                "https://www.mydrive.ch/shares/150997/701c90d3aea6588f404936e32a674602/download/"
                "466712769-1743429042/mvtec_ad_2.tar.gz",
            ),
            by_hand=HOME,
        ),
    ),
)
SPLITS = {"train/good": "train", "validation/good": "val", "test_public/good": "test"}
BAD, MASKS = "test_public/bad", "test_public/ground_truth/bad"
# Without labels: what is predicted of them is judged by benchmark.mvtec.com.
SECRET = ("test_private", "test_private_mixed")
# train, validation, good and defective images of the public test
COUNTS = {
    "can": (412, 46, 72, 90),
    "fabric": (387, 43, 66, 90),
    "fruit_jelly": (263, 37, 20, 60),
    "rice": (313, 35, 42, 90),
    "sheet_metal": (137, 19, 24, 90),
    "vial": (291, 41, 35, 105),
    "wallplugs": (293, 33, 60, 90),
    "walnuts": (432, 48, 60, 90),
}
NAMES = ("train", "val", "test_good", "test_defective")


def fetch(category: str, folder: Path) -> None:
    """Link a category's images and masks, with those of the secret test sets where they are."""
    is_one = holding("train/good", "test_public")

    def fits(place: Path) -> bool:
        return place.name.casefold() == category and is_one(place)

    root = unpacked(for_category(ARCHIVES[0], category))
    expected = f"{category}/train/good and {category}/test_public somewhere in it"
    source = find_folder(root, fits, expected)
    for part in (*SPLITS, BAD, MASKS, *SECRET):
        link_images(entry(source, part), folder / part)


def layout(folder: Path, _category: str) -> Layout:
    """The published training and validation images, and the public test set."""
    items: list[Item] = []
    for part, split in SPLITS.items():
        normals = [Item(image, "good", split) for image in images_in(folder / part)]
        if not normals:
            raise UserError(f"{folder}/{part}: no images: fetch the unit again")
        items += normals
    masks = masks_by_stem(folder / MASKS)
    items += [
        Item(image, "bad", "test", find_mask(image, masks, folder / MASKS))
        for image in images_in(folder / BAD)
    ]
    notes = (
        "Numbers are of MVTec AD 2's public test set. The images of its secret ones lie in "
        f"{SECRET[0]}/ and {SECRET[1]}/ of data/raw/mvtec2/<category>: see docs/data.md.",
    )
    return Layout(items, masks=checked_masks(folder / "test_public", items), notes=notes)


DATA_SETS = (
    DataSet(
        name="mvtec2",
        title="MVTec AD 2, changing light",
        categories=tuple(COUNTS),
        licence="CC BY-NC-SA 4.0",
        citation="Heckler-Kram et al., The MVTec AD 2 dataset: advanced scenarios for unsupervised "
        "anomaly detection, International Journal of Computer Vision 134 (2026)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        expected={name: dict(zip(NAMES, row, strict=True)) for name, row in COUNTS.items()},
    ),
)
