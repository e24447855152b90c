"""mad-sys: synthetic weak defects of graded visibility (the authors of GLASS)."""

from pathlib import Path
from typing import Any

from blemish.datasets import mvtec
from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.layouts.mad import CITATION, HOME, LICENCE, fetch_subsets, read_subsets
from blemish.datasets.layouts.published import by_hand

PREFIX = "Beta_"
CATEGORIES = ("carpet", "grid", "leather", "tile", "wood")
ARCHIVES = (by_hand("MAD-sys", f"the Google Drive folder linked by {HOME}"), *mvtec.ARCHIVES)
UNUSED = "beta-0.9"
NOTES = (
    "MAD-sys backgrounds are MVTec AD training images: its normal test images are not new to a "
    "model trained on them.",
    f"The paper does not use {UNUSED}: it is a slice outside the headline numbers.",
)


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:  # noqa: ARG001
    """The subsets' test images and MVTec AD's training images."""
    fetch_subsets(ARCHIVES, PREFIX, category, folder)


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """Slices `beta-0.1` … `beta-0.9`; the larger β, the fainter the defect."""
    return read_subsets(folder, PREFIX, NOTES, extra_slices=(UNUSED,))


DATA_SET = DataSet(
    name="mad-sys",
    title="MAD-sys, synthetic weak defects on textures",
    categories=CATEGORIES,
    licence=LICENCE,
    citation=CITATION,
    home=HOME,
    fetch=fetch,
    layout=layout,
    archives=ARCHIVES,
    # Good and defective images are published for the five categories together.
    expected={
        **{name: {"train": mvtec.COUNTS[name]["train"]} for name in CATEGORIES},
        "": {"test_good": 5 * 320, "test_defective": 5 * 946},
    },
)
