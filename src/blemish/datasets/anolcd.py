"""anolcd: nine kinds of displays (the authors of DLAS-Net). Their names are the archive's."""

from pathlib import Path
from typing import Any

from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.layouts.mvtec_archive import fetch_category, read_category
from blemish.datasets.layouts.published import by_hand, counts

HOME = "github.com/SijieLuo/DLAS-Net"
ARCHIVES = (by_hand("AnoLCD", f"the Baidu drive linked by {HOME}, renamed"),)


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:  # noqa: ARG001
    """One category of the archive, whatever it is called there."""
    fetch_category(ARCHIVES[0], category, folder)


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """MVTec folders. That the archive has masks is not certain: without them, image labels."""
    return read_category(folder, masks_are_known=False)


DATA_SET = DataSet(
    name="anolcd",
    title="AnoLCD, displays of nine kinds",
    categories=(),
    licence="none stated",
    citation="Dual-Level Anomaly Synthesis Network for Weak Anomaly Detection in Liquid Crystal "
    "Displays, repository SijieLuo/DLAS-Net (2025)",
    home=HOME,
    fetch=fetch,
    layout=layout,
    archives=ARCHIVES,
    expected=counts({"": (2100, 350, 750)}),
    open_categories=True,
)
