"""mad-man: MVTec AD's defects as five persons call them weak (the authors of GLASS)."""

from pathlib import Path
from typing import Any

from blemish.datasets import mvtec
from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.layouts.mad import CITATION, HOME, LICENCE, fetch_subsets, read_subsets
from blemish.datasets.layouts.published import by_hand

PREFIX = "Person_"
ARCHIVES = (by_hand("MAD-man", f"the Google Drive folder linked by {HOME}"), *mvtec.ARCHIVES)
NOTE = (
    "MAD-man images are MVTec AD test images: its numbers are no further evidence beside those "
    "on MVTec AD."
)


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:  # noqa: ARG001
    """The subsets' test images and MVTec AD's training images."""
    fetch_subsets(ARCHIVES, PREFIX, category, folder)


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """Slices `person-1` … `person-5`."""
    return read_subsets(folder, PREFIX, (NOTE,))


DATA_SET = DataSet(
    name="mad-man",
    title="MAD-man, weak defects chosen by five persons",
    categories=mvtec.CATEGORIES,
    licence=LICENCE,
    citation=CITATION,
    home=HOME,
    fetch=fetch,
    layout=layout,
    archives=ARCHIVES,
    # Each of the five subsets has 2 good and 6 defective images of a category.
    expected={
        name: {"train": mvtec.COUNTS[name]["train"], "test_good": 10, "test_defective": 30}
        for name in mvtec.CATEGORIES
    },
)
