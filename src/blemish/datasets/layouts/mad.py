"""The two MAD sets: weak defects in subsets, tested with models of MVTec AD's categories.

Test-only: the training images are MVTec AD's own, each published subset is a slice of the test.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, Layout
from blemish.datasets.layouts.mvtec_archive import (
    bring_test,
    category_folder,
    checked_masks,
    train_items,
)
from blemish.datasets.layouts.mvtec_folders import mvtec_test_items
from blemish.datasets.layouts.published import (
    bring_images,
    child,
    find_folder,
    folders_in,
    for_category,
    listing,
)
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked

HOME = "github.com/cqylunlun/GLASS"
CITATION = (
    "Chen et al., A unified anomaly synthesis strategy with gradient ascent for industrial "
    "anomaly detection and localization, ECCV (2024)"
)
LICENCE = "MIT; the images are MVTec AD's: CC BY-NC-SA 4.0"


def fetch_subsets(
    archives: Sequence[Sequence[Archive]], prefix: str, category: str, folder: Path
) -> None:
    """`train/good` of MVTec AD and `<subset>/{test,ground_truth}` of each published subset.

    `prefix` begins the subsets' folder names ("Person_").
    """
    subset_archive, mvtec_archive = for_category(archives, category)
    root = unpacked(subset_archive)
    expected = f"folders {prefix}… with {category}/test in them"
    top = find_folder(root, lambda place: bool(subsets(place, prefix, category)), expected)
    for subset in subsets(top, prefix, category):
        source = child(subset, category)
        assert source is not None
        bring_test(source, folder / subset.name)
    source = category_folder(unpacked(mvtec_archive), category)
    bring_images(child(source, "train", "good"), folder / "train" / "good")


def subsets(folder: Path, prefix: str, category: str) -> list[Path]:
    """The published subsets in a folder that have images of the category."""
    return [
        inner
        for inner in folders_in(folder)
        if inner.name.casefold().startswith(prefix.casefold()) and child(inner, category, "test")
    ]


def read_subsets(
    folder: Path, prefix: str, notes: Sequence[str], extra_slices: tuple[str, ...] = ()
) -> Layout:
    """The published subsets as slices: `Person_1` becomes `person-1`. Every one has masks."""
    found = [inner for inner in folders_in(folder) if inner.name != "train"]
    items: list[Item] = []
    for subset in found:
        tested = mvtec_test_items(subset)
        checked_masks(subset, tested)
        name = subset.name.casefold().replace("_", "-")
        items += [replace(item, slice=name) for item in tested]
    if not items:
        raise UserError(f"{folder}: expected folders {prefix}…; found {listing(folder)}")
    said = ("Test-only: the training images are MVTec AD's of the same category.", *notes)
    present = {item.slice for item in items}
    extra = tuple(name for name in extra_slices if name in present)
    return Layout(train_items(folder) + items, "pixel", extra_slices=extra, notes=said)
