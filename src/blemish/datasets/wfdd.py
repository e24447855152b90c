"""wfdd: woven fabrics (Chen et al., the authors of GLASS)."""

from pathlib import Path
from typing import Any

from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.layouts.mvtec_archive import fetch_category, read_category
from blemish.datasets.layouts.published import by_hand, counts

HOME = "github.com/cqylunlun/GLASS"
ARCHIVES = (by_hand("WFDD", f"the Google Drive folder linked by {HOME}"),)


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:  # noqa: ARG001
    """One category of the archive."""
    fetch_category(ARCHIVES[0], category, folder)


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """MVTec folders; every defective image has a mask."""
    return read_category(folder)


DATA_SET = DataSet(
    name="wfdd",
    title="WFDD, woven fabrics",
    categories=("grey_cloth", "grid_cloth", "yellow_cloth", "pink_flower"),
    licence="MIT",
    citation="Chen et al., A unified anomaly synthesis strategy with gradient ascent for "
    "industrial anomaly detection and localization, ECCV (2024)",
    home=HOME,
    fetch=fetch,
    layout=layout,
    archives=ARCHIVES,
    expected=counts({"": (3657, 203, 241)}),
)
