"""The parameters of GLASS; the defaults are the published ones (`docs/spec/glass.md` §15).

What is ours has a comment.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from blemish.core.params import Count, KindParams
from blemish.methods.view_params import ViewParams

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

# The published table (§11): per data set the categories that are trained on the hypersphere; the
# others are trained on the manifold.
MVTEC = frozenset({"bottle", "cable", "pill", "screw", "transistor"})
HYPERSPHERE: dict[str, frozenset[str]] = {
    "mvtec": MVTEC,
    "mad-man": MVTEC,
    "mad-sys": MVTEC,
    "visa": frozenset({"cashew", "fryum", "pcb1", "pcb2", "pcb4", "pipe_fryum"}),
    "mpdd": frozenset(),
    "wfdd": frozenset(),
}
# Categories of which the published loader enlarges the centre (§2.2); that for VisA never does.
ENLARGED = frozenset({"toothbrush", "wood"})
ENLARGEMENT = 329 / 288


class Params(ViewParams):
    """Section `glass` of params.yaml; relatives have other sections."""

    kinds: KindParams | None = None  # the mix of `synthesis.kinds`
    backbone: str = "wide_resnet50_2.tv_in1k"
    weights: Literal["imagenet", "random"] = "imagenet"
    strides: list[Count] = Field([8, 16], min_length=1)
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 288
    resize: Literal["auto", "squash", "crop", "fit", "tiles"] = "crop"
    enlarge: Literal["by_name"] | Annotated[float, Field(ge=1, le=4)] = "by_name"
    patch: Literal[1, 3, 5] = 3
    pretrain_dim: Count = 1536
    target_dim: Count = 1536
    standardise: bool = False  # ours
    whiten: bool = False  # ours
    hidden: Count = 1024

    variant: Literal["manifold", "hypersphere", "judge", "table"] = "table"
    center_weights: Literal["images", "batches"] = "batches"
    foreground: bool = True
    noise: Positive = 0.015
    ascent_steps: Annotated[int, Field(ge=0)] = 20
    ascent_length: NotNegative = 0.001
    project_every: Count = 5
    band_unit: Literal["absolute", "noise"] = "absolute"
    band: list[NotNegative] = Field([0.5, 1.0], min_length=2, max_length=2)
    radius_quantile: Annotated[float, Field(gt=0, le=1)] = 0.75
    hard_quantile: Annotated[float, Field(ge=0, lt=1)] = 0.5

    pool: Count | None = None  # ours: images whose cells many steps see
    renewed: Annotated[float, Field(gt=0, le=1)] = 0.2  # ours: the share that an epoch replaces
    rows: Annotated[int, Field(ge=16)] = 1024  # ours: cells of a step
    steps: Count = 40  # ours: steps of an epoch

    memory: Annotated[int, Field(ge=0)] = 0  # ours: normal cells that are remembered

    epochs: Count = 640
    average_last: Count = 1  # the last epoch alone, as published; averaging is ours
    images_per_epoch: Count = 392
    batch_size: Count = 8
    learning_rate: Positive = 1e-4
    sigma: NotNegative = 4.0
    top_cells: Count = 1  # ours: the image score is the mean of so many largest cell scores

    cache: Literal["exact", "float16"] = "exact"  # ours, of speed alone
    cache_gib: NotNegative = 8.0  # ours; more goes to a temporary file

    def for_unit(self, unit: str) -> Self:
        """The published code decides the crop and the variant by a category's name."""
        data_set, _, category = unit.partition("/")
        changes: dict[str, float | str] = {}
        if self.enlarge == "by_name":
            cropped = category in ENLARGED and data_set != "visa" and self.resize == "crop"
            changes["enlarge"] = ENLARGEMENT if cropped else 1.0
        if self.variant == "table":
            tabled = "hypersphere" if category in HYPERSPHERE.get(data_set, ()) else "manifold"
            changes["variant"] = tabled if data_set in HYPERSPHERE else "judge"
        return self.model_copy(update=changes)

    @property
    def cut_off(self) -> float:
        """`enlarge`; who did not name the unit gets what holds for most."""
        return 1.0 if self.enlarge == "by_name" else self.enlarge

    @property
    def no_tiles(self) -> str | None:
        """The hypersphere's centre is one vector a cell, of images whose parts lie alike."""
        if self.variant == "manifold":
            return None
        return (
            f"`variant: {self.variant}`: each cell may have a centre of its own; set it to manifold"
        )

    @model_validator(mode="after")
    def _enlarging_crops(self) -> Self:
        if self.resize != "crop" and self.enlarge not in ("by_name", 1):
            raise ValueError("`enlarge` keeps the centre, so it needs `resize: crop`, or to be 1")
        return self

    @model_validator(mode="after")
    def _band_is_ordered(self) -> Self:
        if self.band[0] > self.band[1]:
            raise ValueError(f"the lower bound of `band` exceeds the upper one: {self.band}")
        return self

    @model_validator(mode="after")
    def _scaled_once(self) -> Self:
        if self.standardise and self.whiten:
            raise ValueError("`whiten` does what `standardise` does, and more: set one to false")
        return self

    @model_validator(mode="after")
    def _pool_is_of_the_manifold(self) -> Self:
        if self.pool is not None and self.variant != "manifold":
            raise ValueError(
                "`pool` forgets where a cell lies, so it needs `variant: manifold`: set that, or "
                "`pool` to null"
            )
        return self

    @model_validator(mode="after")
    def _strides_ascend(self) -> Self:
        if self.strides != sorted(set(self.strides)):
            raise ValueError(f"`strides` must ascend, finest first: {self.strides}")
        return self
