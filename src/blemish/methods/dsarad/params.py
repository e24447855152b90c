"""The parameters of DSARAD; the defaults are the published ones (`docs/spec/dsarad.md` §§2–6).

What is ours has a comment.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from blemish.core.params import Count, KindParams
from blemish.methods.view_params import ViewParams

Boxes = Annotated[list[Annotated[int, Field(ge=1, le=255)]], Field(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Params(ViewParams):
    """Section `dsarad` of params.yaml."""

    kinds: KindParams | None = KindParams({"dsarad": 1.0})
    # Five times halved, the segmenter's last level must keep more than one pixel for BatchNorm.
    image_size: Annotated[int, Field(ge=64, le=2048, multiple_of=32)] = 256
    resize: Literal["auto", "squash", "crop", "fit", "tiles"] = "squash"
    width: Count = 128
    segmenter_width: Count = 64
    rotation: Annotated[float, Field(ge=0, le=1)] = 0.3
    flat_field: bool | Literal["auto"] = False  # ours; auto: where a unit's parts lie alike

    epochs: Count = 1000
    teacher_epochs: Count = 50
    teacher_passes: Count | None = None  # epochs / 100, as published: 10 of 1,000; ours: at least 1
    precise_statistics: bool = False  # ours
    images_per_epoch: Count | None = None  # all; a limit is ours
    batch_size: Count = 4
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    milestones: list[Share] = Field([0.2, 0.4, 0.6, 0.8])
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    # Ours: auto, by whether the unit's parts lie alike.
    score_boxes: Boxes | Literal["auto"] = Field([21])

    @property
    def no_tiles(self) -> str | None:
        """A flat field knows the mean normal pixel by pixel, of images whose parts lie alike."""
        said = str(self.flat_field).lower()
        return f"`flat_field: {said}`: set it to false" if self.flat_field else None

    @field_validator("score_boxes")
    @classmethod
    def _boxes_have_a_middle(cls, boxes: Boxes | Literal["auto"]) -> Boxes | Literal["auto"]:
        if boxes != "auto" and any(box % 2 == 0 for box in boxes):
            raise ValueError("a box needs a middle pixel: give it an odd side")
        return boxes

    @model_validator(mode="after")
    def _normals_lie_alike(self) -> "Params":
        if self.flat_field and self.rotation:
            raise ValueError(
                "flat_field takes away what all normals have in common, which turned ones have "
                "not: set rotation to 0, or flat_field to false"
            )
        return self

    @property
    def first_epochs(self) -> int:
        """Epochs of the first stage, in which the teacher learns too."""
        return min(self.teacher_epochs, self.epochs)

    @property
    def passes(self) -> int:
        """Passes of the teacher before each of these; published: a hundredth of the epochs."""
        return self.teacher_passes or max(1, self.epochs // 100)

    def rate(self, done: int, total: int) -> float:
        """The learning rate after `done` of `total` epochs; decays at whole ones (§5).

        The published milestones are floats that are compared with counts, so that they never come
        where a product is no whole number; here they are rounded. The teacher's are those of twice
        as many passes as it makes, since it makes half as many as there are epochs.
        """
        passed = sum(done >= round(share * total) for share in self.milestones)
        return self.learning_rate * self.decay**passed
