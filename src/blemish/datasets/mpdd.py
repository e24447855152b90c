"""mpdd: painted metal parts under changing position and light (Jezek et al.)."""

from pathlib import Path
from typing import Any

from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.layouts.mvtec_archive import fetch_category, read_category
from blemish.datasets.layouts.published import by_hand, counts

HOME = "github.com/stepanje/MPDD"
ARCHIVES = (by_hand("MPDD", f"the OneDrive folder linked by {HOME}"),)
# train, good test and defective test images
COUNTS = counts(
    {
        "bracket_black": (289, 32, 47),
        "bracket_brown": (185, 26, 51),
        "bracket_white": (110, 30, 30),
        "connector": (128, 30, 14),
        "metal_plate": (54, 26, 71),
        "tubes": (122, 32, 69),
        "": (888, 176, 282),
    }
)


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:  # noqa: ARG001
    """One category of the archive."""
    fetch_category(ARCHIVES[0], category, folder)


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """MVTec folders; every defective image has a mask."""
    return read_category(folder)


DATA_SET = DataSet(
    name="mpdd",
    title="MPDD, painted metal parts",
    categories=tuple(name for name in COUNTS if name),
    licence="CC BY-NC-SA 4.0",
    citation="Jezek et al., Deep learning-based defect detection of metal parts: evaluating "
    "current methods in complex conditions, ICUMT (2021)",
    home=HOME,
    fetch=fetch,
    layout=layout,
    archives=ARCHIVES,
    expected=COUNTS,
)
