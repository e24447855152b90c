"""btad: beanTech's three products with body and surface defects (Mishra et al.)."""

from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in, published_counts
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    holding,
    known_entry,
    link_images,
)
from blemish.datasets.layouts.mvtec_archive import checked_masks
from blemish.datasets.layouts.mvtec_folders import find_mask, masks_by_stem
from blemish.download.archive import Archive, hand_placed
from blemish.download.fetch import unpacked

HOME = "avires.dimi.uniud.it/papers/btad"
ARCHIVE = Archive(
    file="btad.zip",
    checksum="sha256:461c9387e515bfed41ecaae07c50cf6b10def647b36c9e31d239ab2736b10d2a",
    urls=("https://avires.dimi.uniud.it/papers/btad/btad.zip",),
    by_hand=f"{HOME}/btad.zip",
)
ARCHIVES = ((ARCHIVE, *hand_placed("BTech_Dataset_transformed", HOME)),)
# MVTec's folders under names of its own.
PARTS = ("train/ok", "test/ok", "test/ko", "ground_truth/ko")
DEFECT = "ko"
COUNTS = published_counts({"01": (400, 21, 49), "02": (399, 30, 200), "03": (1000, 400, 41)})


def fetch(category: str, folder: Path) -> None:
    """Link the four folders of a product."""
    expected = f"{category}/train/ok and {category}/test somewhere in it"
    fits = holding(f"{category}/train/ok", f"{category}/test")
    source = known_entry(find_folder(unpacked(ARCHIVES[0]), fits, expected), category)
    for part in PARTS:
        link_images(entry(source, part), folder / part)


def layout(folder: Path, _category: str) -> Layout:
    """Images and masks share their stem, not always their suffix (bmp and png)."""
    train = [Item(image, "good", "train") for image in images_in(folder / "train/ok")]
    if not train:
        raise UserError(f"{folder}/train/ok: no images: fetch the unit again")
    annotations = folder / "ground_truth" / DEFECT
    masks = masks_by_stem(annotations)
    test = [Item(image, "good", "test") for image in images_in(folder / "test/ok")] + [
        Item(image, DEFECT, "test", find_mask(image, masks, annotations))
        for image in images_in(folder / "test" / DEFECT)
    ]
    return Layout(train + test, masks=checked_masks(folder, test))


DATA_SETS = (
    DataSet(
        name="btad",
        title="BTAD, three products",
        categories=tuple(COUNTS),
        licence="CC BY-NC-SA 4.0",
        citation="Mishra et al., VT-ADL: a vision transformer network for image anomaly detection "
        "and localization, ISIE (2021)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        expected=COUNTS,
    ),
)
