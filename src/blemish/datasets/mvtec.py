"""mvtec: MVTec AD, fifteen objects and textures (Bergmann et al.)."""

from pathlib import Path
from typing import Any

from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.layouts.mvtec_archive import fetch_category, read_category
from blemish.datasets.layouts.published import counts, for_category
from blemish.download.archive import Archive

HOME = "mvtec.com/company/research/datasets/mvtec-ad"
# The publisher's links changed five times since 2022: where this one is dead, by hand.
ALL = Archive(
    file="mvtec_anomaly_detection.tar.xz",
    checksum="sha256:cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
    urls=(
        "https://www.mydrive.ch/shares/38536/3830184030e49fe74747669442f0f282/download/"
        "420938113-1629952094/mvtec_anomaly_detection.tar.xz",
    ),
    by_hand=HOME,
)
# The same images, one category an archive; no checksums are published. Asked for first: who has
# put it there need not download all.
ONE = Archive(file="{category}.tar.xz", by_hand=HOME)
ARCHIVES = ((ONE, ALL),)

# train, good test and defective test images
COUNTS = counts(
    {
        "bottle": (209, 20, 63),
        "cable": (224, 58, 92),
        "capsule": (219, 23, 109),
        "carpet": (280, 28, 89),
        "grid": (264, 21, 57),
        "hazelnut": (391, 40, 70),
        "leather": (245, 32, 92),
        "metal_nut": (220, 22, 93),
        "pill": (267, 26, 141),
        "screw": (320, 41, 119),
        "tile": (230, 33, 84),
        "toothbrush": (60, 12, 30),
        "transistor": (213, 60, 40),
        "wood": (247, 19, 60),
        "zipper": (240, 32, 119),
        "": (3629, 467, 1258),
    }
)
CATEGORIES = tuple(name for name in COUNTS if name)


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:  # noqa: ARG001
    """One category, out of the archive of all or its own."""
    fetch_category(for_category(ARCHIVES, category)[0], category, folder)


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """MVTec folders; every defective image has a mask."""
    return read_category(folder)


DATA_SET = DataSet(
    name="mvtec",
    title="MVTec AD, objects and textures",
    categories=CATEGORIES,
    licence="CC BY-NC-SA 4.0",
    citation="Bergmann et al., The MVTec Anomaly Detection Dataset, International Journal of "
    "Computer Vision 129 (2021)",
    home=HOME,
    fetch=fetch,
    layout=layout,
    archives=ARCHIVES,
    expected=COUNTS,
)
