"""The two MAD sets (the authors of GLASS): weak defects in subsets, for models of MVTec AD.

Test-only: the training images are MVTec AD's own, each published subset is a slice of the test.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Counts, DataSet, Item, Layout, for_category
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    folders_in,
    known_entry,
    listing,
)
from blemish.datasets.layouts.mvtec_archive import (
    category_folder,
    checked_masks,
    link_test,
    link_train,
)
from blemish.datasets.layouts.mvtec_folders import mvtec_train_items
from blemish.datasets.layouts.sorted_masks import tested_by_order
from blemish.datasets.mvtec_family import (
    GLASS_HOME,
    GLASS_PAPER,
    MVTEC_ARCHIVES,
    MVTEC_CATEGORIES,
    MVTEC_COUNTS,
)
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

SYS_CATEGORIES = ("carpet", "grid", "leather", "tile", "wood")


def mad(
    name: str,
    title: str,
    *,
    stem: str,
    prefix: str,
    categories: tuple[str, ...],
    counts: Counts,
    notes: Sequence[str],
    unused: str = "",
) -> DataSet:
    """One of the two sets. `prefix` begins the subsets' folder names ("Person_"); the slice
    `unused` stays outside the headline numbers."""
    archive = hand_placed(stem, f"the Google Drive folder linked by {GLASS_HOME}")

    def fetch(category: str, folder: Path) -> None:
        _link_subsets(unpacked(archive), prefix, category, folder)
        trained = unpacked(for_category(MVTEC_ARCHIVES, category))
        link_train(category_folder(trained, category), folder)

    def layout(folder: Path, _category: str) -> Layout:
        items, paired = _sliced_items(folder)
        if not items:
            raise UserError(f"{folder}: expected folders {prefix}…; found {listing(folder)}")
        source = "Test-only: the training images are MVTec AD's of the same category."
        extra = tuple({unused} & {item.slice for item in items})
        all_items = mvtec_train_items(folder) + items
        return Layout(all_items, "pixel", extra_slices=extra, notes=(source, *notes, *paired))

    return DataSet(
        name=name,
        title=title,
        categories=categories,
        licence="MIT; the images are MVTec AD's: CC BY-NC-SA 4.0",
        citation=GLASS_PAPER,
        home=GLASS_HOME,
        fetch=fetch,
        layout=layout,
        archives=(archive, MVTEC_ARCHIVES),
        expected=counts,
    )


def _link_subsets(root: Path, prefix: str, category: str, folder: Path) -> None:
    """Link `<subset>/{test,ground_truth}` of each published subset."""
    expected = f"folders {prefix}… with {category}/test in them"
    top = find_folder(root, lambda place: bool(_subsets(place, prefix, category)), expected)
    for subset in _subsets(top, prefix, category):
        link_test(known_entry(subset, category), folder / subset.name)


def _subsets(folder: Path, prefix: str, category: str) -> list[Path]:
    """The published subsets in a folder that have images of the category."""
    return [
        inner
        for inner in folders_in(folder)
        if inner.name.casefold().startswith(prefix.casefold()) and entry(inner, f"{category}/test")
    ]


def _sliced_items(folder: Path) -> tuple[list[Item], list[str]]:
    """The test images of the subsets as slices: `Person_1` becomes `person-1`. All have masks.

    Also notes on masks that were paired by order.
    """
    items: list[Item] = []
    notes: list[str] = []
    for subset in folders_in(folder):
        if subset.name != "train":
            tested, paired = tested_by_order(subset)
            notes += [f"{subset.name}: {note}" for note in paired]
            checked_masks(subset, tested)
            name = subset.name.casefold().replace("_", "-")
            items += [replace(item, slice=name) for item in tested]
    return items, notes


DATA_SETS = (
    mad(
        "mad-man",
        "MAD-man, weak defects chosen by five persons",
        stem="MAD-man",
        prefix="Person_",
        categories=MVTEC_CATEGORIES,
        # Each of the five subsets has 2 good and 6 defective images of a category.
        counts={
            name: {"train": MVTEC_COUNTS[name]["train"], "test_good": 10, "test_defective": 30}
            for name in MVTEC_CATEGORIES
        },
        notes=(
            "MAD-man images are MVTec AD test images: its numbers are no further evidence beside "
            "those on MVTec AD.",
        ),
    ),
    # The larger β, the fainter the defect.
    mad(
        "mad-sys",
        "MAD-sys, synthetic weak defects on textures",
        stem="MAD-sys",
        prefix="Beta_",
        categories=SYS_CATEGORIES,
        # Good and defective images are published for the five categories together.
        counts={
            **{name: {"train": MVTEC_COUNTS[name]["train"]} for name in SYS_CATEGORIES},
            "": {"test_good": 5 * 320, "test_defective": 5 * 946},
        },
        notes=(
            "MAD-sys backgrounds are MVTec AD training images: its normal test images are not new "
            "to a model trained on them.",
            "The paper does not use beta-0.9: it is a slice outside the headline numbers.",
        ),
        unused="beta-0.9",
    ),
)
