"""The registry of methods. Light: names only, so that params.yaml is checked without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A method named `x` lives in `blemish.methods.x`: its `params`, `detector` and `training`.

    chooses_epoch: its authors report the best epoch on the test set (`AuthorProtocol.chosen_by`),
    so that protocol `paper` needs the weights of many epochs. training_free: it is a yardstick of
    what comes without training, and the report says so.
    """

    title: str
    reference: str
    chooses_epoch: bool = False
    training_free: bool = False


METHODS: dict[str, Entry] = {
    "glass": Entry(
        title="GLASS: global and local anomaly co-synthesis with gradient ascent",
        reference="ECCV 2024, arXiv 2407.09359",
        chooses_epoch=True,
    ),
    "dlas": Entry(
        title="DLAS-Net: dual-level anomaly synthesis, as in the published code",
        reference="github.com/SijieLuo/DLAS-Net, 2025",
        chooses_epoch=True,
    ),
    "dlas_lcd": Entry(
        title="DLAS-Net for weak display defects: an extension, ours",
        reference="Blemish, docs/methods/dlas.md",
    ),
    "patchcore": Entry(
        title="PatchCore: distance to a coreset of normal patches",
        reference="CVPR 2022, arXiv 2106.08265",
        training_free=True,
    ),
    "esad": Entry(
        title="ESAD: inpaint, fill, reconstruct, compare early features",
        reference="The Visual Computer (Fei and Wu)",
        chooses_epoch=True,
    ),
    "dsarad": Entry(
        title="DSARAD: distilled reconstruction with attention, and a segmenter",
        reference="github.com/Wangh277/DSARAD, after DRAEM (ICCV 2021)",
        chooses_epoch=True,
    ),
    "dmad": Entry(
        title="DMAD: diversity-measurable anomaly detection, reverse distillation behind a warp",
        reference="CVPR 2023, arXiv 2303.05047",
    ),
}
