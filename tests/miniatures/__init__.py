"""The published data sets in their publishers' exact layouts, a few small images each.

`build(unit, folder)` writes one folder an archive; `MINIATURES` says what must come of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.miniatures import further, layouts

Counts = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Miniature:
    """A data set's archives (name → builder of what is in it) and, for one unit, what
    `layout` must yield: (split or "None", defect) → items, and the kind of masks."""

    unit: str
    archives: dict[str, Callable[[Path], None]]
    counts: Counts
    masks: str = "pixel"

    def build(self, folder: Path) -> dict[str, Path]:
        """What is in each archive, by the archive's name, as a folder below `folder`."""
        found = {}
        for number, (name, builder) in enumerate(self.archives.items()):
            found[name] = folder / str(number)
            found[name].mkdir(parents=True)
            builder(found[name])
        return found


MVTEC: Counts = {("train", "good"): 6, ("test", "good"): 2, ("test", "scratch"): 3}
LOCO: Counts = {("train", "good"): 6, ("val", "good"): 2, ("test", "good"): 2}
STRUCTURAL, LOGICAL = ("test", "structural_anomalies"), ("test", "logical_anomalies")
LOCO_ARCHIVE = {"mvtec_loco_anomaly_detection.tar.xz": layouts.loco}

DIVIDED: Counts = {("train", "good"): 6, ("test", "good"): 2, ("test", "defect"): 3}

MINIATURES = [
    Miniature("mvtec/leather", {"mvtec_anomaly_detection.tar.xz": layouts.mvtec}, MVTEC),
    Miniature("mvtec/screw", {"screw.tar.xz": layouts.mvtec_screw}, MVTEC),
    Miniature("mpdd/tubes", {"MPDD.zip": layouts.mpdd}, MVTEC),
    Miniature("wfdd/grid_cloth", {"WFDD.zip": layouts.wfdd}, MVTEC),
    Miniature("anolcd/Type-3", {"AnoLCD.zip": layouts.anolcd}, MVTEC),
    Miniature("loco/screw_bag", LOCO_ARCHIVE, {**LOCO, STRUCTURAL: 3, LOGICAL: 4}),
    Miniature("loco-structural/screw_bag", LOCO_ARCHIVE, {**LOCO, STRUCTURAL: 3}),
    Miniature("loco-logical/screw_bag", LOCO_ARCHIVE, {**LOCO, LOGICAL: 4}),
    Miniature(
        "visa/candle",
        {"VisA_20220922.tar": layouts.visa},
        {("train", "good"): 6, ("test", "good"): 2, ("test", "anomaly"): 3},
    ),
    Miniature(
        "mad-man/screw",
        {"MAD-man.zip": layouts.mad_man, "screw.tar.xz": layouts.mvtec_screw},
        {("train", "good"): 6, ("test", "good"): 10, ("test", "scratch"): 15},
    ),
    Miniature(
        "mad-sys/leather",
        {"MAD-sys.zip": layouts.mad_sys, "mvtec_anomaly_detection.tar.xz": layouts.mvtec},
        {("train", "good"): 6, ("test", "good"): 10, ("test", "scratch"): 15},
    ),
    Miniature(
        "lcd-surface/phone",
        {"MSD.zip": layouts.msd, "good.zip": layouts.msd_good},
        {("None", "good"): 8, ("test", "oil"): 2, ("test", "scratch"): 2, ("test", "stain"): 2},
    ),
    Miniature(
        "magnetic-tile-thu/tile",
        {"magnetic-tile-thu.zip": layouts.magnetic_tile_thu},
        {("None", "good"): 8}
        | {("test", kind): 2 for kind in ("broken", "crack", "fold", "impurity", "rough")},
        masks="none",
    ),
    Miniature(
        "magnetic-tile/tile",
        {"magnetic-tile.zip": layouts.magnetic_tile},
        {("None", "good"): 8}
        | {("test", kind): 2 for kind in ("blowhole", "break", "crack", "fray", "uneven")},
    ),
    # 3×2 tiles an image. Normals are the templates' tiles, as the other images repeat them.
    Miniature(
        "pcb/board",
        {"PCB_DATASET.zip": layouts.pcb},
        {
            ("train", "good"): 2 * 6,
            ("test", "good"): 2 * 6,
            ("test", "missing_hole"): 2 * 2,
            ("test", "short"): 2 * 2,
        },
    ),
    # The template is for training; of the two test images five tiles each are clean.
    Miniature(
        "pcb/04",
        {"PCB_DATASET.zip": layouts.pcb},
        {
            ("train", "good"): 6,
            ("test", "good"): 5 + 5,
            ("test", "missing_hole"): 1,
            ("test", "short"): 1,
        },
    ),
    # 10 images of 2×2 tiles with a defect in one: the 5th and 10th are for the test.
    *(
        Miniature(
            "lcd-light/panel",
            {"lcd-light.zip": builder},
            {("train", "good"): 24, ("test", "good"): 6, ("test", "line"): 2},
            masks="boxes",
        )
        for builder in (layouts.lcd_light_voc, layouts.lcd_light_yolo)
    ),
    Miniature(
        "mvtec2/can",
        {"mvtec_ad_2.tar.gz": further.mvtec2},
        {("train", "good"): 6, ("val", "good"): 2, ("test", "good"): 2, ("test", "bad"): 3},
    ),
    Miniature("ksdd2/surface", {"KolektorSDD2.zip": further.ksdd2}, DIVIDED),
    Miniature(
        "btad/03",
        {"btad.zip": further.btad},
        {("train", "good"): 6, ("test", "good"): 2, ("test", "ko"): 3},
    ),
    Miniature("dagm/Class1", {"DAGM_KaggleUpload.zip": further.dagm}, DIVIDED, masks="polygons"),
    # Four tiles a strip: one strip has defects in three of them, one in one.
    Miniature(
        "aitex/04",
        {
            "NODefect_images.zip": further.aitex_good,
            "Defect_images.zip": further.aitex_defects,
            "Mask_images.zip": further.aitex_masks,
        },
        {
            ("None", "good"): 3 * 4,
            ("test", "good"): 2 + 3,
            ("test", "fuzzyball"): 2,
            ("test", "nep"): 1,
        },
    ),
    # Of nine times the pits begin at the seventh, so that three images are good.
    Miniature(
        "bsdata/ball-screw",
        {"BSData-main.zip": further.bsdata},
        {("train", "good"): 3 + 9, ("test", "good"): 3 + 9, ("test", "pitting"): 3},
        masks="polygons",
    ),
    Miniature(
        "casting/impeller",
        {"casting.zip": further.casting},
        {("None", "good"): 8, ("test", "defect"): 3},
        masks="none",
    ),
]
