"""The data sets that are published as MVTec AD is: mvtec, mpdd, wfdd, anolcd. Facts alone."""

from collections.abc import Sequence
from pathlib import Path

from blemish.datasets.dataset import Counts, DataSet, Layout, for_category, published_counts
from blemish.datasets.layouts.mvtec_archive import (
    category_folder,
    link_test,
    link_train,
    read_category,
)
from blemish.download.archive import Archive, hand_placed
from blemish.download.fetch import unpacked


def mvtec_like(
    name: str,
    title: str,
    *,
    categories: tuple[str, ...],
    archives: Sequence[Archive],
    counts: Counts,
    licence: str,
    citation: str,
    home: str,
    masks_are_known: bool = True,
    masks_by_order: bool = False,
) -> DataSet:
    """A data set in MVTec's layout, made of facts; without `categories` the archive names them.

    `archives` are alternatives. `masks_are_known`: an archive without masks is incomplete.
    `masks_by_order`: where names do not match, its authors pair images and masks in sorted order.
    """

    def fetch(category: str, folder: Path) -> None:
        source = category_folder(unpacked(for_category(archives, category)), category)
        link_train(source, folder)
        link_test(source, folder)

    def layout(folder: Path, _category: str) -> Layout:
        return read_category(folder, masks_are_known, masks_by_order)

    return DataSet(
        name=name,
        title=title,
        categories=categories,
        licence=licence,
        citation=citation,
        home=home,
        fetch=fetch,
        layout=layout,
        archives=(tuple(archives),),
        expected=counts,
        open_categories=not categories,
    )


MVTEC_HOME = "mvtec.com/company/research/datasets/mvtec-ad"
MVTEC_ARCHIVES = (
    # One category an archive; no checksums are published. Tried first, so that a user
    # who has put one category there need not download all.
    Archive(file="{category}.tar.xz", by_hand=MVTEC_HOME),
    # All categories. The publisher's links changed six times since 2022, the bytes never: the
    # newest first, and where all are dead, by hand.
    Archive(
        file="mvtec_anomaly_detection.tar.xz",
        checksum="sha256:cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
        urls=(
            "https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/download/"
            "420938113-1629960298/mvtec_anomaly_detection.tar.xz",  # since 2026
            "https://www.mydrive.ch/shares/38536/3830184030e49fe74747669442f0f282/download/"
            "420938113-1629952094/mvtec_anomaly_detection.tar.xz",
        ),
        by_hand=MVTEC_HOME,
    ),
)
MVTEC_COUNTS = published_counts(
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
MVTEC_CATEGORIES = tuple(filter(None, MVTEC_COUNTS))

MPDD_HOME = "github.com/stepanje/MPDD"
MPDD_COUNTS = published_counts(
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

GLASS_HOME = "github.com/cqylunlun/GLASS"
GLASS_PAPER = (
    "Chen et al., A unified anomaly synthesis strategy with gradient ascent for industrial "
    "anomaly detection and localization, ECCV (2024)"
)

ANOLCD_HOME = "github.com/SijieLuo/DLAS-Net"

DATA_SETS = (
    mvtec_like(
        "mvtec",
        "MVTec AD, objects and textures",
        categories=MVTEC_CATEGORIES,
        archives=MVTEC_ARCHIVES,
        counts=MVTEC_COUNTS,
        licence="CC BY-NC-SA 4.0",
        citation="Bergmann et al., The MVTec Anomaly Detection Dataset, International Journal of "
        "Computer Vision 129 (2021)",
        home=MVTEC_HOME,
    ),
    mvtec_like(
        "mpdd",
        "MPDD, painted metal parts",
        categories=tuple(filter(None, MPDD_COUNTS)),
        archives=hand_placed("MPDD", f"the OneDrive folder linked by {MPDD_HOME}"),
        counts=MPDD_COUNTS,
        licence="none stated",
        citation="Jezek et al., Deep learning-based defect detection of metal parts: evaluating "
        "current methods in complex conditions, ICUMT (2021)",
        home=MPDD_HOME,
    ),
    mvtec_like(
        "wfdd",
        "WFDD, woven fabrics",
        categories=("grey_cloth", "grid_cloth", "yellow_cloth", "pink_flower"),
        archives=hand_placed("WFDD", f"the Google Drive folder linked by {GLASS_HOME}"),
        counts=published_counts({"": (3657, 203, 241)}),
        licence="MIT",
        citation=GLASS_PAPER,
        home=GLASS_HOME,
        masks_by_order=True,
    ),
    mvtec_like(
        "anolcd",
        "AnoLCD, displays of nine kinds",
        categories=(),  # unpublished
        archives=hand_placed("AnoLCD", f"the Baidu drive linked by {ANOLCD_HOME}, renamed"),
        counts=published_counts({"": (2100, 350, 750)}),
        licence="none stated",
        citation="Dual-Level Anomaly Synthesis Network for Weak Anomaly Detection in Liquid "
        "Crystal Displays, repository SijieLuo/DLAS-Net (2025)",
        home=ANOLCD_HOME,
        masks_are_known=False,
        masks_by_order=True,
    ),
)
